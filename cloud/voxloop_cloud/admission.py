"""Who may come in and who may speak: a session or segment too many is refused at once, so that the others keep their
latency. A function of plain values, with time as an argument."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from voxloop_proto.errors import OverloadError

RETRY_AFTER_MS = 1_000
ACTIVE_S = 10.0
"""A device that spoke is expected to speak again for so long: the gaps of a dialogue are shorter."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one process takes.

    sessions: open at once, silent or not. device_sessions: of one device. streams: that speak at once, as measured by
    `voxloop calibrate`; None: not measured, so not limited.
    """

    sessions: int
    device_sessions: int
    streams: int | None = None


class Admission:
    """The open sessions of one process, and those among them that speak.

    A silent session costs next to nothing, so a server may hold many more than can speak at once. A session speaks from
    its opening (it was opened in order to speak) or the start of a segment until ACTIVE_S after the segment's end.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._open: Counter[str] = Counter()
        self._in_segment: set[int] = set()
        self._spoke_s: OrderedDict[int, float] = OrderedDict()  # not in a segment; the longest silent first

    @property
    def open_sessions(self) -> int:
        """Sessions that are open."""
        return self._open.total()

    def speaking(self, now_s: float) -> int:
        """Sessions that speak, or did a moment ago."""
        while self._spoke_s and next(iter(self._spoke_s.values())) < now_s - ACTIVE_S:
            self._spoke_s.popitem(last=False)
        return len(self._in_segment) + len(self._spoke_s)

    def enter(self, session: int, device_id: str, now_s: float) -> None:
        """A session opens. session: any number that no other open one has. Raises OverloadError if it may not."""
        most = self._capacity.device_sessions
        if self._open[device_id] >= most:
            raise OverloadError(f"device {device_id!r} has {most} open sessions, the most allowed; close one first")
        if self.open_sessions >= self._capacity.sessions:
            raise OverloadError(
                f"{self._capacity.sessions} sessions are open, the most here", retry_after_ms=RETRY_AFTER_MS
            )
        self._check_streams(now_s)
        self._open[device_id] += 1
        self._spoke_s[session] = now_s

    def speak(self, session: int, now_s: float) -> None:
        """A segment begins. Raises OverloadError if a session that was silent comes when enough others speak."""
        if session not in self._in_segment and self._silent_since(session, now_s):
            self._check_streams(now_s)
        self._spoke_s.pop(session, None)
        self._in_segment.add(session)

    def pause(self, session: int, now_s: float) -> None:
        """A segment has ended."""
        if session in self._in_segment:
            self._in_segment.remove(session)
            self._spoke_s[session] = now_s

    def leave(self, session: int, device_id: str) -> None:
        """A session that entered has closed."""
        self._in_segment.discard(session)
        self._spoke_s.pop(session, None)
        self._open[device_id] -= 1
        self._open += Counter()  # drops those at zero

    def _silent_since(self, session: int, now_s: float) -> bool:
        self.speaking(now_s)
        return session not in self._spoke_s

    def _check_streams(self, now_s: float) -> None:
        most = self._capacity.streams
        if most is not None and self.speaking(now_s) >= most:
            raise OverloadError(
                f"{most} devices speak, the most at which this server keeps its latency; try again in a moment",
                retry_after_ms=RETRY_AFTER_MS,
            )


class Place:
    """One session's place, from its opening until it leaves; leaving without having entered does nothing."""

    def __init__(self, admission: Admission, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds."""
        self._admission = admission
        self._clock = clock
        self._device_id: str | None = None

    def enter(self, device_id: str) -> None:
        """As `Admission.enter`."""
        self._admission.enter(id(self), device_id, self._clock())
        self._device_id = device_id

    def speak(self) -> None:
        """As `Admission.speak`."""
        self._admission.speak(id(self), self._clock())

    def pause(self) -> None:
        """As `Admission.pause`."""
        self._admission.pause(id(self), self._clock())

    def leave(self) -> None:
        """As `Admission.leave`."""
        if self._device_id is not None:
            self._admission.leave(id(self), self._device_id)
            self._device_id = None


def open_to_all() -> Place:
    """A place where nobody else is."""
    return Place(Admission(Capacity(sessions=1, device_sessions=1)))
