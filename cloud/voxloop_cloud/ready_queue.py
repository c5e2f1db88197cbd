"""Who is recognised next: first those whose segment has ended, as somebody waits for their text; then by arrival."""

import threading
from collections import deque
from typing import Generic, TypeVar

from voxloop_proto.errors import UnavailableError

T = TypeVar("T")


class ReadyQueue(Generic[T]):
    """The queue between the event loop, which adds, and the recognition thread, which takes.

    A stream stands in it at most once, so its bound is the number of streams. Sound that comes while its segment goes
    on is heard again in a window's time at the earliest, so it can wait that long and nobody notices; what follows a
    segment's end delays its text by as much as it waits. Among equals the order is that of arrival.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        """Its lock also guards what streams share between the two threads."""
        self._urgent: deque[T] = deque()
        self._others: deque[T] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Streams that wait."""
        return len(self._urgent) + len(self._others)

    def add(self, item: T, *, urgent: bool) -> None:
        """Puts a stream at the end of its kind. Raises UnavailableError once the queue is closed."""
        with self.changed:
            if self._closed:
                raise closing()
            (self._urgent if urgent else self._others).append(item)
            self.changed.notify()

    def hurry(self, item: T) -> None:
        """Somebody waits for this stream now: if it is in line, it goes to the end of those that are urgent."""
        with self.changed:
            if item in self._others:
                self._others.remove(item)
                self._urgent.append(item)

    def discard(self, item: T) -> None:
        """Takes a stream out, if it waits."""
        with self.changed:
            for waiting in (self._urgent, self._others):
                if item in waiting:
                    waiting.remove(item)

    def take(self, at_most: int) -> list[T]:
        """The next streams, up to so many; waits until there is one. Empty once the queue is closed."""
        with self.changed:
            self.changed.wait_for(lambda: self._closed or self._urgent or self._others)
            if self._closed:
                return []
            count = min(at_most, len(self))
            return [(self._urgent or self._others).popleft() for _ in range(count)]

    def close(self) -> list[T]:
        """Ends all waiting; returns whoever was still in the queue."""
        with self.changed:
            left = [*self._urgent, *self._others]
            self._urgent.clear()
            self._others.clear()
            self._closed = True
            self.changed.notify_all()
        return left


def closing() -> UnavailableError:
    """What those get who come, or wait, when the recognizer shuts down."""
    return UnavailableError("the recognizer is shutting down; send the segment again")
