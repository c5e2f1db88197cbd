"""The thread that writes what was heard: in batches, behind a bounded queue, so that nobody waits for a disk."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import structlog
from sqlalchemy.exc import DatabaseError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from voxloop_cloud.records.entry import Entry
from voxloop_cloud.records.heard import Heard
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import UnavailableError

BATCH: Final = 100
"""Most utterances in a transaction: about 5 ms of work, in which a thread of Python holds up others."""

LINGER_S: Final = 0.2
"""How long the first of a batch waits for company."""

FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 5.0
CLOSING_WAIT_S: Final = 10.0
"""How long a database that is away is waited for at the end."""

_AWAY: Final = (OperationalError, InterfaceError, InternalError, PoolTimeoutError, OSError, UnavailableError)
"""Locked, full, not there: the same write may do later. All else is the fault of a row, but for a damaged file."""

_log = structlog.get_logger("voxloop.records")


@dataclass(frozen=True, slots=True)
class WriterCounts:
    """What became of the utterances since the start. waiting: now; dropped: the queue was full; lost: the database did
    not take them; unkept_sounds: there was no room for the sound, the rest was kept."""

    waiting: int
    written: int
    dropped: int
    lost: int
    unkept_sounds: int


class RecordWriter:
    """Use from `start` to `close`. `put` may be called by one thread and returns at once; the rest happens in its own.

    Holds at most max_queued utterances, written ones not counted, and max_sound_s of sound. While the database is away
    it tries again, ever less often, and says so once. An entry that the database refuses is left out alone.
    """

    def __init__(
        self,
        prepare: Callable[[Sequence[Heard]], list[Entry]],
        write: Callable[[Sequence[Entry]], None],
        max_queued: int = 10_000,
        max_sound_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """prepare: what is to be written of some utterances, called once for each; must not raise, may leave one out.

        write: writes a batch as a whole or raises; may be called again with the same.
        """
        self._prepare = prepare
        self._write = write
        self._max_queued = max_queued
        self._max_sound_samples = round(max_sound_s * SAMPLE_RATE_HZ)
        self._clock = clock
        self._changed = threading.Condition()
        self._arrived: deque[Heard] = deque()
        self._unwritten: deque[Entry] = deque()
        self._sound_samples = 0
        self._taken = self._settled = 0  # counts since the start
        self._counts = WriterCounts(0, 0, 0, 0, 0)
        self._singly = 0  # so many entries are written one by one, as one of them is at fault
        self._retry_s = 0.0
        self._wait_s = 0.0  # 0 while the database is there
        self._closes_s: float | None = None
        self._is_hurried = False
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    @property
    def counts(self) -> WriterCounts:
        """What became of the utterances so far."""
        with self._changed:
            return replace(self._counts, waiting=self._taken - self._settled)

    def put(self, heard: Heard) -> bool:
        """Takes an utterance; False if it was dropped, as too many wait. Never waits itself."""
        with self._changed:
            if self._closes_s is not None or self._taken - self._settled >= self._max_queued:
                self._count(dropped=1)
                return False
            if self._sound_samples + heard.sound_samples > self._max_sound_samples:
                heard = replace(heard, sound=())
                self._count(unkept_sounds=1)
            self._sound_samples += heard.sound_samples
            self._taken += 1
            self._arrived.append(heard)
            if len(self._arrived) == 1:
                self._changed.notify_all()
            return True

    def flush(self, timeout_s: float) -> bool:
        """Waits until all that was put before is written; False if that takes longer."""
        with self._changed:
            wanted = self._taken
            self._is_hurried = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._settled >= wanted, timeout_s)

    def close(self, timeout_s: float = CLOSING_WAIT_S) -> None:
        """Writes what waits, and ends. What a database that stays away does not take in time is counted as lost."""
        with self._changed:
            self._closes_s = self._clock() + timeout_s
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while self._await_work():
            self._prepare_arrived()
            if self._unwritten and self._clock() >= self._retry_s:
                self._write_batch()
        if self._unwritten:
            _log.error("records.lost", utterances=len(self._unwritten), hint="the database was away until the end")
            self._settle(len(self._unwritten), lost=len(self._unwritten))

    def _await_work(self) -> bool:
        """Waits until there is something to do; False once there is nothing more, or no time."""
        with self._changed:
            while not self._arrived:
                if self._closes_s is not None and (not self._unwritten or self._clock() >= self._closes_s):
                    return False
                if self._unwritten and self._retry_s <= self._clock():
                    return True
                self._changed.wait(self._patience_s())
            if self._wait_s == 0.0:
                self._changed.wait_for(self._has_company, LINGER_S)
            return True

    def _patience_s(self) -> float | None:
        """How long to wait for arrivals before something else is due; None: nothing is."""
        if not self._unwritten:
            return None
        due_s = self._retry_s if self._closes_s is None else min(self._retry_s, self._closes_s)
        return max(0.0, due_s - self._clock())

    def _has_company(self) -> bool:
        return len(self._arrived) >= BATCH or self._is_hurried or self._closes_s is not None

    def _prepare_arrived(self) -> None:
        with self._changed:
            some = [self._arrived.popleft() for _ in range(min(BATCH, len(self._arrived)))]
            self._is_hurried = self._is_hurried and bool(self._arrived)
        entries = self._prepare(some)
        self._unwritten.extend(entries)
        with self._changed:
            self._sound_samples -= sum(heard.sound_samples for heard in some)
        if missing := len(some) - len(entries):
            self._settle(missing, lost=missing)

    def _write_batch(self) -> None:
        batch = list(islice(self._unwritten, 1 if self._singly else BATCH))
        try:
            self._write(batch)
        except _AWAY as error:
            self._postpone(error)
            return
        except Exception as error:  # noqa: BLE001 (the task's boundary: one bad row must not keep all others out)
            if type(error) is DatabaseError:  # "database disk image is malformed": no row's fault, whatever row it is
                self._postpone(error)
                return
            if len(batch) > 1:
                self._singly = len(batch)
                return
            _log.error(
                "record.refused",
                session=batch[0].record.session_id,
                segment=batch[0].record.segment_id,
                error=_first_line(error),
            )
            self._leave(batch, lost=1)
        else:
            self._leave(batch, written=len(batch))
        self._recover()

    def _leave(self, batch: Sequence[Entry], **counts: int) -> None:
        self._singly = max(0, self._singly - len(batch))
        for _ in batch:
            self._unwritten.popleft()
        self._settle(len(batch), **counts)

    def _postpone(self, error: Exception) -> None:
        if self._wait_s == 0.0:
            _log.error(
                "records.not_written",
                error=_first_line(error),
                hint="tried again until it works",
                room_for=self._max_queued,
            )
        self._wait_s = min(LONGEST_WAIT_S, self._wait_s * 2 or FIRST_WAIT_S)
        self._retry_s = self._clock() + self._wait_s

    def _recover(self) -> None:
        if self._wait_s:
            _log.warning("records.written_again", dropped=self._counts.dropped)
        self._wait_s = self._retry_s = 0.0

    def _settle(self, entries: int, **counts: int) -> None:
        with self._changed:
            self._settled += entries
            self._count(**counts)
            self._changed.notify_all()

    def _count(self, **counts: int) -> None:
        self._counts = replace(
            self._counts, **{name: getattr(self._counts, name) + more for name, more in counts.items()}
        )


def _first_line(error: Exception) -> str:
    """Without what SQLAlchemy adds below: the values, which may be what somebody said."""
    return str(getattr(error, "orig", None) or error).split("\n", 1)[0][:300]
