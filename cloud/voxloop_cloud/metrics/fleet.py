"""What heartbeats say of the devices, added up: totals that only grow, and the sum of what is now."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, TypeVar

from voxloop_proto.v1 import voxloop_pb2 as pb

MOST_REMEMBERED: Final = 10_000
"""Devices and sessions whose last totals are remembered; the one that was silent for longest is forgotten first."""

MOST_SAMPLES: Final = 1 << 40
"""Two years of sound: a device that claims more is not believed."""

MOST_SEGMENTS: Final = 1 << 24
Total = TypeVar("Total")


@dataclass(frozen=True, slots=True)
class Rise:
    """What has come to a device's totals since they were last told."""

    lost_samples: int
    dropped_segments: int
    dropped_samples: int


@dataclass(slots=True)
class Fleet:
    """The devices of one process, by what they last said.

    A total that is below the last one began anew, with the device's process. The totals of a device that was never seen
    here, or was forgotten, count as they are: one that changes workers may so be counted twice.
    """

    _lost: OrderedDict[str, int] = field(default_factory=OrderedDict)  # by session: the device counts from its start
    _dropped: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)  # by device: from its process's
    _open: dict[int, tuple[int, int]] = field(
        default_factory=dict
    )  # by stream: unanswered segments, bytes in the spool

    def hear(self, stream: int, hello: pb.Hello, said: pb.Heartbeat) -> Rise:
        """Takes a heartbeat. stream: any number that no other open one has."""
        self._open[stream] = (min(said.unacknowledged_segments, MOST_SEGMENTS), min(said.spool_bytes, MOST_SAMPLES))
        lost = _within(said.lost_samples, MOST_SAMPLES)
        lost_before = _exchange(self._lost, hello.session_id, lost) or 0
        dropped = (_within(said.dropped_segments, MOST_SEGMENTS), _within(said.dropped_samples, MOST_SAMPLES))
        dropped_before = _exchange(self._dropped, hello.device_id, dropped) or (0, 0)
        if dropped[0] < dropped_before[0]:
            dropped_before = (0, 0)
        return Rise(
            lost - lost_before if lost >= lost_before else lost,
            dropped[0] - dropped_before[0],
            max(0, dropped[1] - dropped_before[1]),
        )

    def leave(self, stream: int) -> None:
        """The stream has ended: what its device holds now is not known."""
        self._open.pop(stream, None)

    @property
    def unanswered_segments(self) -> int:
        """Of all open streams, as they last said."""
        return sum(segments for segments, _ in self._open.values())

    @property
    def spool_bytes(self) -> int:
        """Of all open streams, as they last said."""
        return sum(spooled for _, spooled in self._open.values())


def _within(value: int, most: int) -> int:
    return value if 0 <= value <= most else 0


def _exchange(book: OrderedDict[str, Total], key: str, value: Total) -> Total | None:
    """Remembers the value; what was there before, None if nothing was."""
    before = book.pop(key, None)
    book[key] = value
    if len(book) > MOST_REMEMBERED:
        book.popitem(last=False)
    return before
