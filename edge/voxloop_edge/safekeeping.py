"""What outlives the device's process: its spool and its journal, worked on by one thread, in order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from voxloop_edge.disk import RealDisk
from voxloop_edge.folder_lock import FolderLock
from voxloop_edge.journal import Journal, JournalLine
from voxloop_edge.outbox import PendingSegment
from voxloop_edge.replies import Reply, SegmentDropped, StoreChanged, StoreName, TornFound
from voxloop_edge.spool import Spool, SpooledSegment
from voxloop_edge.spool_config import DropRule, SpoolConfig
from voxloop_proto.errors import DataError
from voxloop_proto.v1 import voxloop_pb2 as pb

Result = TypeVar("Result")


class Safekeeping:
    """The spool and the journal of a device; either may be missing (None), and is then not asked.

    A disk that is full or broken is told once (StoreChanged) and tried again with each segment: recording goes on in
    memory. Disks are slow: all work on them is done in one thread, so what was asked first is done first.
    """

    def __init__(
        self,
        spool: Spool | None,
        journal: Journal | None,
        on_reply: Callable[[Reply], None],
        when_full: DropRule = "oldest",
    ) -> None:
        self.when_full = when_full
        self.dropped_segments = 0
        self.dropped_samples = 0
        self._spool = spool
        self._journal = journal
        self._on_reply = on_reply
        self._thread = ThreadPoolExecutor(1, "safekeeping")
        self._troubles: dict[StoreName, str] = {}
        self._owners: dict[str, Callable[[int], bool]] = {}

    @property
    def has_spool(self) -> bool:
        """Whether segments are kept on disk."""
        return self._spool is not None

    @property
    def spool_bytes(self) -> int:
        """Bytes of segments on disk."""
        return self._spool.size_bytes if self._spool else 0

    def segments(self, session: str) -> list[SpooledSegment]:
        """What is on disk of a session, in the order of speech."""
        return self._spool.segments(session) if self._spool else []

    def left_sessions(self) -> dict[str, list[SpooledSegment]]:
        """The sessions of earlier runs whose segments are still here, the oldest first."""
        if self._spool is None:
            return {}
        return {session: self._spool.segments(session) for session in self._spool.sessions()}

    def own(self, session: str, still_in_memory: Callable[[int], bool]) -> None:
        """still_in_memory: asked when a segment of the session is dropped from the disk: it is lost if False."""
        self._owners[session] = still_in_memory

    async def keep_hello(self, session: str, hello: pb.Hello) -> bool:
        """Keeps how a session is opened; False if the disk would not."""
        if (spool := self._spool) is None:
            return False
        copy = pb.Hello()
        copy.CopyFrom(hello)
        try:
            await self._do(lambda: spool.keep_hello(session, copy))
        except OSError as error:
            self._tell("spool", error)
            return False
        return True

    async def keep_known_hello(self, session: str, hello: pb.Hello) -> None:
        """Keeps how a session is opened from now on, if any of it is on disk; else the first segment brings it."""
        if self._spool is not None and session in self._spool.sessions():
            await self.keep_hello(session, hello)

    async def hello(self, session: str) -> pb.Hello:
        """How a session on disk is opened. Raises DataError if that cannot be had."""
        spool = self._spool
        assert spool is not None
        try:
            return await self._do(lambda: spool.hello(session))
        except OSError as error:
            raise DataError(f"the settings of session {session} cannot be read: {error}") from error

    async def keep(self, session: str, messages: list[pb.RecognizeRequest], hello: pb.Hello) -> bool:
        """Keeps a segment; True once it is durable."""
        if (spool := self._spool) is None:
            return False
        if session not in spool.sessions() and not await self.keep_hello(session, hello):
            return False
        stored = await self._do(lambda: spool.keep(session, messages))
        for segment in stored.dropped:
            await self._dropped(segment)
        if stored.error or stored.is_kept:
            self._tell("spool", stored.error)
        return stored.is_kept

    async def load(self, session: str, segment_id: int) -> list[pb.RecognizeRequest]:
        """A segment's messages. Raises DataError if they cannot be had any more."""
        spool = self._spool
        assert spool is not None  # else nothing was kept
        try:
            return await self._do(lambda: spool.load(session, segment_id))
        except (OSError, KeyError) as error:
            raise DataError(f"segment {segment_id} of session {session} cannot be read: {error}") from error

    async def give(self, line: JournalLine, *, keeps_sound: bool = False) -> bool:
        """Writes what became of a segment, and only then forgets its sound; False if that was given before.

        keeps_sound: it stays, to be uploaded. Where the journal cannot be written, that is told, and the segment stays
        on disk: the next run has its text again, and writes it.
        """
        is_new, error = await self._do(lambda: self._give(line, keeps_sound))
        if self._journal is not None:
            self._tell("journal", error)
        return is_new

    def _give(self, line: JournalLine, keeps_sound: bool) -> tuple[bool, OSError | None]:
        was_given = self._spool is not None and self._spool.is_given(line.session, line.segment)
        try:
            is_new = self._journal is None or self._journal.add(line)
        except OSError as error:
            was_written = self._journal is not None and self._journal.has(line.session, line.segment)
            return not (was_given or was_written), error
        if self._spool is not None and self._spool.has(line.session, line.segment):
            with suppress(OSError):  # then it is sent once more, and not given again
                if not keeps_sound:
                    self._spool.erase(line.session, line.segment)
                elif not was_given:
                    self._spool.mark_given(line.session, line.segment)
        return is_new and not was_given, None

    async def forget(self, session: str, segment_id: int) -> None:
        """The segment was answered, and is not needed on disk."""
        if (spool := self._spool) is not None:
            with suppress(OSError):
                await self._do(lambda: spool.erase(session, segment_id))

    async def close_session(self, session: str) -> None:
        """The session is over; what is unanswered of it stays in the spool."""
        self._owners.pop(session, None)
        await self._do(lambda: self._close_session(session))

    def _close_session(self, session: str) -> None:
        try:
            if self._spool is not None:
                self._spool.close_session(session)
        except OSError:
            return  # an empty session is cleared away when the spool is next opened
        if self._journal is not None and not (self._spool and self._spool.segments(session)):
            self._journal.forget(session)

    async def lose(self, session: str, lost: PendingSegment | SpooledSegment, reason: str) -> None:
        """A segment will never be answered: counts it, writes so, and tells it."""
        start_sample = lost.start_sample if isinstance(lost, PendingSegment) else 0
        line = JournalLine(session, lost.segment_id, "lost", reason, start_sample, start_sample + lost.samples)
        if await self.give(line) and not lost.is_given:
            self.dropped_segments += 1
            self.dropped_samples += lost.samples
            self._on_reply(SegmentDropped(session, lost.segment_id, lost.samples, reason))

    async def _dropped(self, segment: SpooledSegment) -> None:
        still_in_memory = self._owners.get(segment.session)
        in_memory = still_in_memory is not None and still_in_memory(segment.segment_id)
        if not in_memory and not segment.is_given:
            await self.lose(segment.session, segment, "the spool is full")

    def _tell(self, what: StoreName, error: OSError | None) -> None:
        """Says so when the spool or the journal fails, and when it works again; not each time."""
        trouble = "" if error is None else (error.strerror or str(error))
        if trouble != self._troubles.get(what, ""):
            self._troubles[what] = trouble
            self._on_reply(StoreChanged(what, not trouble, trouble))

    async def _do(self, work: Callable[[], Result]) -> Result:
        """In the thread; to the end even if whoever waits is cancelled, as half of it would be a lie."""
        if self._spool is None and self._journal is None:
            return work()
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    def close(self) -> None:
        """Ends the thread, after what it has to do."""
        self._thread.shutdown()


def no_safekeeping() -> Safekeeping:
    """For sessions whose segments are kept in memory alone."""
    return Safekeeping(None, None, lambda _: None)


@asynccontextmanager
async def open_safekeeping(
    config: SpoolConfig, journal: Path | None, on_reply: Callable[[Reply], None]
) -> AsyncIterator[Safekeeping]:
    """Opens the spool and the journal that there are to be.

    Raises ConfigError if another process has one of them, or the journal cannot be written. A spool that cannot be
    opened is told (StoreChanged), and recording goes on in memory.
    """
    with ExitStack() as stack:
        spool = _open_spool(config, stack, on_reply) if config.dir else None
        lines = Journal(journal, spool.sessions() if spool else ()) if journal else None
        if lines:
            stack.callback(lines.close)
            if lines.torn_bytes:
                on_reply(TornFound("journal", 1))
        keeping = Safekeeping(spool, lines, on_reply, config.when_full)
        stack.callback(keeping.close)
        yield keeping


def _open_spool(config: SpoolConfig, stack: ExitStack, on_reply: Callable[[Reply], None]) -> Spool | None:
    assert config.dir is not None
    try:
        RealDisk().make_folder(config.dir)
        lock = FolderLock(config.dir)
        stack.callback(lock.release)
        spool = Spool(config.dir, config.max_bytes, config.when_full)
    except OSError as error:
        on_reply(StoreChanged("spool", False, f"{config.dir}: {error.strerror or error}"))
        return None
    if spool.torn_files:
        on_reply(TornFound("spool", spool.torn_files))
    return spool
