"""What heartbeats say of the devices, added up: totals that only grow, and the sum of what is now."""

from typing import Final, NamedTuple

from voxloop_cloud.metrics.totals import OwnTotals, Pair, Totals
from voxloop_proto.v1 import voxloop_pb2 as pb

MOST_SAMPLES: Final = 1 << 40
"""Two years of sound: a device that claims more is not believed."""

MOST_SEGMENTS: Final = 1 << 24


class Rise(NamedTuple):
    """What has come to a device's totals since they were last told."""

    lost_samples: int
    dropped_segments: int
    dropped_samples: int


class Fleet:
    """The devices of one process, by what they last said; their totals may be shared with other processes.

    A total that is below the last one began anew, with the device's process. Totals that are not known here count as
    they are if the session is new. If it goes on from before, another server has counted them, or this one before it
    was started anew: they are where counting begins.
    """

    def __init__(self, totals: Totals | None = None) -> None:
        self._totals = totals or OwnTotals()
        self._open: dict[int, Pair] = {}  # by stream: unanswered segments, bytes in the spool

    def hear(self, stream: int, hello: pb.Hello, said: pb.Heartbeat) -> Rise:
        """Takes a heartbeat. stream: any number that no other open one has."""
        goes_on = bool(hello.resume_token) or stream in self._open
        self._open[stream] = (min(said.unacknowledged_segments, MOST_SEGMENTS), min(said.spool_bytes, MOST_SAMPLES))
        lost = (_within(said.lost_samples, MOST_SAMPLES), 0)  # from the start of the session
        dropped = (_within(said.dropped_segments, MOST_SEGMENTS), _within(said.dropped_samples, MOST_SAMPLES))
        lost_rise = self._rise(f"session {hello.session_id}", lost, goes_on)
        dropped_rise = self._rise(f"device {hello.device_id}", dropped, goes_on)  # from that of the device's process
        return Rise(lost_rise[0], *dropped_rise)

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

    def _rise(self, name: str, now: Pair, goes_on: bool) -> Pair:
        before = self._totals.exchange(name, now)
        if before is None:
            before = now if goes_on else (0, 0)
        if now[0] < before[0]:
            before = (0, 0)
        return now[0] - before[0], max(0, now[1] - before[1])


def _within(value: int, most: int) -> int:
    return value if 0 <= value <= most else 0
