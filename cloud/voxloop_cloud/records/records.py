"""What a server remembers of the utterances that it hears: the one place that the rest of the server speaks to."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.records.clip import to_flac
from voxloop_cloud.records.clip_key import clip_key
from voxloop_cloud.records.clip_store import ClipStore, open_clip_store
from voxloop_cloud.records.entry import Entry
from voxloop_cloud.records.erasure import Erased, erase_device
from voxloop_cloud.records.feedback import Outcome, file_feedback, read_feedback
from voxloop_cloud.records.heard import Heard
from voxloop_cloud.records.housekeeping import Housekeeping
from voxloop_cloud.records.record_store import write_records
from voxloop_cloud.records.redo_watch import Redo, RedoWatch
from voxloop_cloud.records.utterance import UtteranceRecord, make_record
from voxloop_cloud.records.writer import RecordWriter
from voxloop_cloud.store.database import open_database
from voxloop_cloud.store.store_config import StoreConfig
from voxloop_proto.errors import UnavailableError, VoxloopError
from voxloop_proto.v1 import voxloop_pb2 as pb

CLIP_THREADS: Final = 4
CLIP_PAUSE_S: Final = 10.0
"""After the clip store failed, so long no sound is kept: the rows must not wait for it."""

FEEDBACK_WAITS_S: Final = (0.1, 0.3, 0.6, 1.0)
"""Between looks for an utterance that feedback is of: another worker may still have it in its queue."""

FLUSH_S: Final = 2.0
_log = structlog.get_logger("voxloop.records")
_News = TypeVar("_News")


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told of what. The first two are called in the writer's thread, whether the database is there or not, the
    others on the event loop; none may block. An error of theirs is logged and stops nothing.

    on_record: each utterance, once. on_redo: how likely one was said again. on_feedback: what a user did.
    on_erased: the digest of a device that was erased, by whichever process (clip_key.device_digest).
    """

    on_record: list[Callable[[UtteranceRecord], None]] = field(default_factory=list)
    on_redo: list[Callable[[Redo], None]] = field(default_factory=list)
    on_feedback: list[Callable[[Outcome], None]] = field(default_factory=list)
    on_erased: list[Callable[[str], None]] = field(default_factory=list)


class Records:
    """Use as `async with open_records(...)`."""

    def __init__(
        self, engine: Engine, clips: ClipStore | None, config: StoreConfig, now_s: Callable[[], float] = time.time
    ) -> None:
        """now_s: Unix seconds."""
        self.engine = engine
        self.clips = clips
        self.listeners = Listeners()
        self._now_s = now_s
        self.writer = RecordWriter(self._prepare, self._write, config.max_queued, config.max_queued_sound_s)
        self._redos = RedoWatch()
        self.listeners.on_erased.append(self._redos.forget)
        self._clip_threads = ThreadPoolExecutor(CLIP_THREADS, thread_name_prefix="clips")
        self._no_clips_until_s = 0.0

    @property
    def keeps_sound(self) -> bool:
        """Whether there is a place for sound."""
        return self.clips is not None

    def now_s(self) -> float:
        """Unix seconds."""
        return self._now_s()

    def hear(self, heard: Heard) -> None:
        """Takes a segment that was answered. Returns at once; what there is no room for is counted."""
        self.writer.put(heard)

    async def feedback(self, request: pb.FeedbackRequest) -> bool:
        """Files feedback; False if its utterance is not there, and does not come within two seconds.

        Raises ContractError if it says nothing, UnavailableError if the database is away.
        """
        feedback = read_feedback(request)
        for wait_s in (*FEEDBACK_WAITS_S, None):
            outcome = await self._in_thread(lambda: file_feedback(self.engine, feedback))
            if outcome is not None:
                self._tell(self.listeners.on_feedback, outcome)
                return True
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        return False

    async def erase(self, device_id: str) -> Erased:
        """Erases all of a device. Raises UnavailableError if that was not possible, and is to be asked for again."""
        await asyncio.to_thread(self.writer.flush, FLUSH_S)
        return await self._in_thread(lambda: erase_device(self.engine, self.clips, device_id, self.now_s()))

    def tell_erased(self, device: str) -> None:
        """A device was erased, by whichever process. device: its digest."""
        self._tell(self.listeners.on_erased, device)

    def close(self) -> None:
        """Writes what waits, and lets go of all that is open."""
        self.writer.close()
        self._clip_threads.shutdown()
        self.engine.dispose()

    async def _in_thread(self, work: Callable[[], _News]) -> _News:
        try:
            return await asyncio.to_thread(work)
        except SQLAlchemyError as error:
            _log.error("records.unavailable", error=str(getattr(error, "orig", None) or error).split("\n", 1)[0][:300])
            raise UnavailableError("the store of utterances is away; try again later", retry_after_ms=5_000) from error

    # In the writer's thread

    def _prepare(self, some: Sequence[Heard]) -> list[Entry]:
        clips = (
            self._clip_threads.map(self._keep_sound, some) if any(heard.sound for heard in some) else [None] * len(some)
        )
        entries = (self._entry(heard, clip) for heard, clip in zip(some, clips, strict=True))
        return [entry for entry in entries if entry is not None]

    def _entry(self, heard: Heard, clip: str | None) -> Entry | None:
        try:
            record = make_record(heard, clip)
            redo = self._redos.follow(heard, record)
        except Exception:  # noqa: BLE001 (the utterance's boundary: the others are recorded)
            _log.exception("record.failed", session=heard.hello.session_id, segment=heard.start.segment_id)
            return None
        self._tell(self.listeners.on_record, record)
        if redo is not None:
            self._tell(self.listeners.on_redo, redo)
        return Entry(record, redo)

    def _keep_sound(self, heard: Heard) -> str | None:
        """The key under which its sound is kept; None if it is not."""
        if self.clips is None or not heard.sound or time.monotonic() < self._no_clips_until_s:
            return None
        key = clip_key(heard.hello.device_id, heard.hello.session_id, heard.start.segment_id, heard.arrived_s)
        try:
            self.clips.put(key, to_flac(heard.sound))
        except VoxloopError as error:
            self._no_clips_until_s = time.monotonic() + CLIP_PAUSE_S
            _log.error("clips.not_kept", error=error.message, hint=f"tried again in {CLIP_PAUSE_S:.0f} s")
            return None
        except Exception:  # noqa: BLE001 (the sound's boundary: its record, and all that follow, are kept)
            _log.exception("clip.failed", session=heard.hello.session_id, segment=heard.start.segment_id)
            return None
        return key

    def _write(self, entries: Sequence[Entry]) -> None:
        records, redos = [entry.record for entry in entries], [entry.redo for entry in entries if entry.redo]
        erased = write_records(self.engine, records, redos)
        if self.clips is not None and (keys := [record.clip for record in erased if record.clip]):
            self.clips.delete(keys)

    def _tell(self, listeners: Sequence[Callable[[_News], None]], news: _News) -> None:
        for listener in listeners:
            try:
                listener(news)
            except Exception:  # noqa: BLE001 (the listener's boundary: the record is written all the same)
                _log.exception("listener.failed", listener=repr(listener))


@asynccontextmanager
async def open_records(config: StoreConfig) -> AsyncIterator[Records]:
    """What is kept by these settings, which must be on, until the block is left. Leaving writes what waits.

    Raises ConfigError for a database or a folder that cannot be had.
    """
    assert config.database_url is not None, "whoever opens records asks whether the store is on"
    engine = await asyncio.to_thread(open_database, config.database_url)
    records = Records(engine, open_clip_store(config.clips) if config.clips else None, config)
    records.writer.start()
    keeper = Housekeeping(engine, records.clips, config.keep_days, records.tell_erased, records.now_s)
    housekeeping = asyncio.create_task(keeper.run(), name="housekeeping")
    try:
        yield records
    finally:
        housekeeping.cancel()
        await asyncio.gather(housekeeping, return_exceptions=True)
        await asyncio.to_thread(records.close)
