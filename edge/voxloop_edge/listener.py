"""Live transcription: a source, the pipeline, a session, and somebody who watches."""

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Protocol

from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.fallback import Fallback
from voxloop_edge.heartbeat import Vitals
from voxloop_edge.hello import make_hello
from voxloop_edge.pipeline import build_pipeline
from voxloop_edge.replies import Reply
from voxloop_edge.safekeeping import open_safekeeping
from voxloop_edge.source import Source
from voxloop_edge.uploader import Uploader
from voxloop_proto.audio import level_dbfs
from voxloop_proto.errors import OverloadError, UnavailableError, VoxloopError
from voxloop_proto.events import Chunk, EncodedEvent, SegmentEnded, SegmentPayload, SegmentStarted
from voxloop_proto.stage import Stage
from voxloop_proto.telemetry import StageClock

if TYPE_CHECKING:  # at run time only devices that show metrics load prometheus_client
    from voxloop_edge.metrics.figures import Figures


class Watcher(Protocol):
    """Is told what happens while somebody speaks. Called from the event loop: it must be quick."""

    def level(self, dbfs: float, until_sample: int) -> None:
        """The level of the last sound, some 100 ms that end at until_sample."""
        ...

    def segment(self, event: SegmentStarted | SegmentEnded) -> None:
        """Speech begins, or is over."""
        ...

    def reply(self, reply: Reply) -> None:
        """Text, still changing or final, or a segment that failed."""
        ...


class Both:
    """Two watchers, told one after the other."""

    def __init__(self, first: Watcher, second: Watcher) -> None:
        self._watchers = (first, second)

    def level(self, dbfs: float, until_sample: int) -> None:
        """The level of the last sound."""
        for watcher in self._watchers:
            watcher.level(dbfs, until_sample)

    def segment(self, event: SegmentStarted | SegmentEnded) -> None:
        """Speech begins, or is over."""
        for watcher in self._watchers:
            watcher.segment(event)

    def reply(self, reply: Reply) -> None:
        """Text, still changing or final, or a segment that failed."""
        for watcher in self._watchers:
            watcher.reply(reply)


async def listen_to(
    source: Source,
    settings: DeviceConfig,
    watcher: Watcher,
    stop: asyncio.Event,
    figures: "Figures | None" = None,
) -> None:
    """Transcribes a live source until it ends or `stop` is set; then waits for the last transcripts.

    With a spool in the settings, what earlier runs left in it is sent, too, and a server that is away is waited for.
    figures: that somebody reads. Raises UnavailableError when the server has been away for too long.
    """
    clock, vitals = StageClock(), Vitals()
    hello = make_hello(settings, interim_results=True)
    if figures is not None:
        figures.begin(hello)
        watcher = Both(watcher, figures)
    failure: VoxloopError | None = None
    async with (
        open_safekeeping(settings.spool, settings.transcripts, watcher.reply) as keeping,
        open_channel(settings.client) as channel,
        Client(
            channel, hello, settings.client, watcher.reply, clock, on_broken=stop.set, keeping=keeping, vitals=vitals
        ) as session,
        _uploading(Uploader(channel, settings.client, keeping, watcher.reply, session.idle)),
        _falling_back(
            Fallback(settings.client, session.session, hello, session.uplink, keeping, watcher.reply), settings.client
        ) as fallback,
        figures.reading(vitals, session.uplink, keeping) if figures else contextlib.nullcontext(),
    ):
        pipeline = build_pipeline(settings, clock, most_ms=lambda: session.most_ms)
        try:
            await _feed(source, pipeline, session, watcher, stop, vitals)
        except VoxloopError as error:  # of the source, say: what was spoken until then is still transcribed
            failure = error
        await _send(pipeline.flush(), session, watcher)
        if fallback is not None:
            await fallback.settle()
        await session.finish()
    if failure is not None:
        raise failure


@contextlib.asynccontextmanager
async def _uploading(uploader: Uploader) -> AsyncIterator[None]:
    """Beside the block: sends what earlier runs left, whenever live speech has been answered."""
    left = list(uploader.keeping.left_sessions())

    async def upload() -> None:
        while sessions := [name for name in left if name in uploader.keeping.left_sessions().keys() - uploader.stuck]:
            with contextlib.suppress(UnavailableError, OverloadError):  # tried again when the live session is idle
                await uploader.upload(sessions)

    task = asyncio.create_task(upload(), name="upload")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def _falling_back(fallback: Fallback, config: ClientConfig) -> AsyncIterator[Fallback | None]:
    """Beside the block: text from the device itself while the cloud is away; None if the settings want none."""
    if config.fallback == "none":
        yield None
        return
    task = asyncio.create_task(fallback.run(), name="fallback")
    try:
        yield fallback
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended


async def _feed(
    source: Source,
    pipeline: Stage[Chunk, EncodedEvent],
    session: Client,
    watcher: Watcher,
    stop: asyncio.Event,
    vitals: Vitals,
) -> None:
    async for chunk in _until(stop, source.chunks()):
        vitals.sample, vitals.lost_samples = chunk.start_sample + len(chunk.pcm), source.lost_samples
        watcher.level(level_dbfs(chunk.pcm), vitals.sample)
        await _send(pipeline.push(chunk), session, watcher)


async def _send(events: tuple[EncodedEvent, ...], session: Client, watcher: Watcher) -> None:
    for event in events:
        if not isinstance(event, SegmentPayload):
            watcher.segment(event)
        await session.send(event)


async def _until(stop: asyncio.Event, chunks: Iterator[Chunk]) -> AsyncIterator[Chunk]:
    """The chunks of a source that blocks, until it ends or `stop` is set.

    They are read in a daemon thread, one ahead: a pipe on which nothing comes any more cannot hold up the end.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue(maxsize=1)

    def put(item: Chunk | Exception | None) -> None:
        with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):  # nobody listens any more
            asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def read() -> None:
        try:
            for chunk in chunks:
                put(chunk)
            put(None)
        except Exception as error:  # noqa: BLE001 (the thread's boundary: raised again by the one who listens)
            put(error)

    threading.Thread(target=read, name="source", daemon=True).start()
    stopped = asyncio.create_task(stop.wait(), name="stop")
    try:
        while (item := await _first(queue, stopped)) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stopped.cancel()


async def _first(
    queue: "asyncio.Queue[Chunk | Exception | None]", stopped: "asyncio.Task[bool]"
) -> Chunk | Exception | None:
    """The next item; None if `stopped` comes first."""
    item = asyncio.create_task(queue.get(), name="next chunk")
    try:
        await asyncio.wait((item, stopped), return_when=asyncio.FIRST_COMPLETED)
        return None if stopped.done() else item.result()
    finally:
        item.cancel()
