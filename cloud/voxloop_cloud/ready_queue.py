"""Who is recognised next: first those whose segment has ended, as somebody waits for their text; then by arrival."""

import threading
import time
from collections import deque
from enum import IntEnum, auto
from typing import Generic, Protocol, TypeVar

from voxloop_cloud.lane import Lane
from voxloop_cloud.shadow_pace import ShadowPace
from voxloop_proto.errors import UnavailableError


class Rank(IntEnum):
    """How pressing a stream is, the most pressing first."""

    ENDED = auto()
    """Its segment has ended: somebody waits for the text."""

    GOING_ON = auto()
    """Its segment goes on: nobody hears of it before the next window."""

    SHADOW = auto()
    """A copy, for comparison alone: nobody waits for it."""


class InLine(Protocol):
    """What stands in the queue."""

    @property
    def lane(self) -> Lane:
        """Who it can share a batch with."""
        ...


T = TypeVar("T", bound=InLine)


class ReadyQueue(Generic[T]):
    """The queue between the event loop, which adds, and the recognition thread, which takes.

    A stream stands in it at most once, so its bound is the number of streams, and of shadows (routing/shadows.py).
    Sound that comes while its segment goes on is heard again in a window's time at the earliest, so it can wait that
    long and nobody notices; what follows a segment's end delays its text by as much as it waits. A shadow is served
    when nobody else waits, and now and then. Among equals the order is that of arrival.
    """

    def __init__(self, pace: ShadowPace | None = None) -> None:
        """pace: of shadows; none: as soon as nobody else waits."""
        self.changed = threading.Condition(threading.RLock())
        """Its lock also guards what streams share between the two threads."""
        self._pace = pace or ShadowPace()
        self._lines: dict[Rank, deque[T]] = {rank: deque() for rank in Rank}
        self._ended, self._going_on, self._shadows = self._lines.values()
        self._closed = False

    def __len__(self) -> int:
        """Streams that wait, without shadows."""
        return len(self._ended) + len(self._going_on)

    def add(self, item: T, rank: Rank) -> None:
        """Puts a stream at the end of its rank. Raises UnavailableError once the queue is closed."""
        with self.changed:
            if self._closed:
                raise closing()
            self._lines[rank].append(item)
            self.changed.notify()

    def hurry(self, item: T) -> None:
        """Somebody waits for this stream now: if it is in line, it goes to the end of those that have ended."""
        with self.changed:
            if item in self._going_on:
                self._going_on.remove(item)
                self._ended.append(item)

    def discard(self, item: T) -> None:
        """Takes a stream out, if it waits."""
        with self.changed:
            for waiting in self._lines.values():
                if item in waiting:
                    waiting.remove(item)

    def take(self) -> list[T]:
        """The next streams, all of one lane and as many as that takes; waits until there is one. The turn of those that
        were taken before has ended.

        A shadow comes alone, and after a rest: whoever arrives while it is recognised waits for one window at most.
        Empty once the queue is closed.
        """
        with self.changed:
            self._pace.end(time.perf_counter())
            while not self._is_wanted():
                self.changed.wait_for(lambda: self._is_wanted() or self._shadows)
                rest_s = self._pace.rest_s(time.perf_counter())
                if not self.changed.wait_for(self._is_wanted, rest_s) and self._shadows:
                    self._pace.begin(time.perf_counter())
                    return [self._shadows.popleft()]
            if self._closed:
                return []
            batch = [(self._ended or self._going_on).popleft()]
            for line in (self._ended, self._going_on):
                _draw(line, batch)
            return batch

    def _is_wanted(self) -> bool:
        """Whether there is something better to do than to serve a shadow."""
        return bool(self._closed or self._ended or self._going_on)

    def close(self) -> list[T]:
        """Ends all waiting; returns whoever was still in the queue."""
        with self.changed:
            left = [item for line in self._lines.values() for item in line]
            for line in self._lines.values():
                line.clear()
            self._closed = True
            self.changed.notify_all()
        return left


def _draw(line: deque[T], batch: list[T]) -> None:
    """Moves those of the batch's lane into it until it is full; the others stay as they stand."""
    lane = batch[0].lane
    passed_over: list[T] = []
    while line and len(batch) < lane.max_batch:
        item = line.popleft()
        (batch if item.lane is lane else passed_over).append(item)
    line.extendleft(reversed(passed_over))


def closing() -> UnavailableError:
    """What those get who come, or wait, when the recognizer shuts down."""
    return UnavailableError("the recognizer is shutting down; send the segment again")
