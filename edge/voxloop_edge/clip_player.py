"""Plays clips into the whole path, as a device would, and measures what comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc.aio

from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.manifest import Clip, printable
from voxloop_edge.pipeline import build_pipeline
from voxloop_edge.replies import Reply, SegmentFailed, TranscriptArrived
from voxloop_edge.report import SegmentReport, StageTime, UtteranceReport, WordReport
from voxloop_edge.source import FileSource
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import ConfigError, DataError, OverloadError, UnavailableError, VoxloopError
from voxloop_proto.events import Chunk
from voxloop_proto.scoring import score
from voxloop_proto.telemetry import StageClock
from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(slots=True)
class _Heard:
    """What came back of one clip."""

    segments: list[TranscriptArrived] = field(default_factory=list)
    failures: list[SegmentFailed] = field(default_factory=list)

    def take(self, reply: Reply) -> None:
        match reply:
            case TranscriptArrived():
                self.segments.append(reply)
            case SegmentFailed():
                self.failures.append(reply)
            case _:
                pass

    @property
    def text(self) -> str:
        ordered = sorted(self.segments, key=lambda heard: heard.transcript.segment_id)
        return " ".join(heard.transcript.text for heard in ordered if heard.transcript.text)


async def play_clips(
    clips: Sequence[Clip],
    channel: grpc.aio.Channel,
    settings: DeviceConfig,
    client: ClientConfig,
    *,
    realtime: bool,
    concurrency: int,
    on_done: Callable[[UtteranceReport], None],
) -> None:
    """Plays all clips, `concurrency` at a time; each is a session of its own.

    A clip that cannot be read, or that the server refuses, becomes a report with its error, and the rest goes on.
    Raises UnavailableError or OverloadError when the server is away or full for too long; what was done until then has
    gone to on_done.
    """
    remaining = iter(clips)
    names = [settings.device_id if client.names_a_device else f"replay-{number}" for number in range(concurrency)]

    async def work(number: int) -> None:
        for clip in remaining:
            on_done(await play_clip(clip, channel, settings, client, names[number], realtime))

    workers = [asyncio.create_task(work(number), name=f"replay {number}") for number in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def play_clip(
    clip: Clip, channel: grpc.aio.Channel, settings: DeviceConfig, client: ClientConfig, device_id: str, realtime: bool
) -> UtteranceReport:
    """One clip, from its file to its transcript."""
    heard, clock, position = _Heard(), StageClock(), _Position()
    errors: list[str] = []
    async with Client(channel, make_hello(settings, device_id), client, heard.take, clock) as session:
        try:
            try:
                await _speak(clip, settings, session, clock, position, realtime)
            except (ConfigError, DataError) as found:  # of the clip; if it is the session's, finish says so again
                errors.append(found.message)
            await session.finish()
        except (OverloadError, UnavailableError):
            raise
        except VoxloopError as found:
            errors.append(found.message)
    errors += [f"segment {failure.segment_id}: {failure.error.message}" for failure in heard.failures]
    error = "; ".join(printable(message) for message in dict.fromkeys(errors)) or None
    return _report(clip, heard, position, session, error)


@dataclass(slots=True)
class _Position:
    """How far a clip has been played, and the CPU time that the edge took for it."""

    samples: int = 0
    edge_cpu_s: float = 0.0

    @contextmanager
    def counting_cpu(self) -> Iterator[None]:
        """Counts the block's CPU time; it must not wait, for others would run in its place."""
        start_s = time.thread_time()
        try:
            yield
        finally:
            self.edge_cpu_s += time.thread_time() - start_s


async def _speak(
    clip: Clip, settings: DeviceConfig, session: Client, clock: StageClock, position: _Position, realtime: bool
) -> None:
    await session.idle()  # until the server has said how long a segment may be
    pipeline = build_pipeline(settings, clock, most_ms=lambda: session.most_ms)
    try:
        async for chunk in _paced(clip, realtime, position):
            with position.counting_cpu():
                events = pipeline.push(chunk)
            for event in events:
                await session.send(event)
    finally:
        with position.counting_cpu():
            rest = pipeline.flush()
        for event in rest:
            await session.send(event)


async def _paced(clip: Clip, realtime: bool, position: _Position) -> AsyncIterator[Chunk]:
    """The chunks of a clip; in real time, each no sooner than a microphone would give it."""
    start_s = time.monotonic()
    with position.counting_cpu():
        chunks = FileSource(clip.audio).chunks()
    while True:
        with position.counting_cpu():
            chunk = next(chunks, None)
        if chunk is None:
            return
        position.samples = chunk.start_sample + chunk.pcm.size
        due_s = start_s + position.samples / SAMPLE_RATE_HZ if realtime else 0.0
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        yield chunk


def _report(clip: Clip, heard: _Heard, position: _Position, session: Client, error: str | None) -> UtteranceReport:
    segments = [_segment(reply) for reply in sorted(heard.segments, key=lambda r: r.transcript.segment_id)]
    wer = None if clip.text is None else score([clip.text], [heard.text]).wer
    return UtteranceReport(
        id=clip.id,
        audio=printable(clip.audio),
        text=heard.text,
        reference=clip.text,
        wer=wer,
        audio_s=position.samples / SAMPLE_RATE_HZ,
        speech_s=sum(segment.end_s - segment.start_s for segment in segments),
        sent_bytes=session.uplink.sent_bytes,
        audio_bytes=session.uplink.audio_bytes,
        edge_cpu_s=position.edge_cpu_s,
        connections=session.uplink.connections,
        segments=segments,
        tags=dict(clip.tags) | ({"speaker": clip.speaker} if clip.speaker else {}),
        error=error,
    )


def _segment(reply: TranscriptArrived) -> SegmentReport:
    transcript, end = reply.transcript, reply.end
    provenance = transcript.provenance
    uplink_ms = reply.latency_ms - provenance.server_latency_ms
    stages = {t.stage: StageTime(busy_ms=t.busy_ms, wait_ms=t.wait_ms) for t in end.report.timings}
    stages["uplink"] = StageTime(busy_ms=max(0.0, uplink_ms))
    stages |= {t.stage: StageTime(busy_ms=t.busy_ms, wait_ms=t.wait_ms) for t in provenance.timings}
    return SegmentReport(
        segment_id=transcript.segment_id,
        start_s=reply.start_sample / SAMPLE_RATE_HZ,
        end_s=end.end_sample / SAMPLE_RATE_HZ,
        last_voiced_s=end.last_voiced_sample / SAMPLE_RATE_HZ,
        reason=pb.EndReason.Name(end.reason).removeprefix("END_REASON_").lower(),
        text=transcript.text,
        confidence=transcript.confidence,
        words=[
            WordReport(
                text=word.text,
                start_s=word.start_sample / SAMPLE_RATE_HZ,
                end_s=word.end_sample / SAMPLE_RATE_HZ,
                confidence=word.confidence,
            )
            for word in transcript.words
        ],
        latency_ms=reply.latency_ms,
        user_latency_ms=reply.user_latency_ms,
        server_latency_ms=provenance.server_latency_ms,
        raw_level_dbfs=end.report.raw_level_dbfs,
        applied_gain_db=end.report.applied_gain_db,
        snr_db=end.report.snr_db,
        stages=stages,
        provenance=f"{provenance.bundle} {provenance.bundle_version}, {pb.Route.Name(provenance.route)}",
    )
