"""How the device is, told to the cloud now and then."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from voxloop_edge.outbox import Outbox
from voxloop_edge.safekeeping import Safekeeping
from voxloop_proto.process import resident_bytes
from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(slots=True)
class Vitals:
    """How far the source has been heard, and what of it came faster than it could be taken; its owner keeps it."""

    sample: int = 0
    lost_samples: int = 0


class Heartbeats:
    """Says when the next one is due on a connection, and what it says."""

    def __init__(
        self,
        interval_ms: int,
        vitals: Vitals,
        outbox: Outbox,
        keeping: Safekeeping,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._interval_s = interval_ms / 1000.0
        self._vitals = vitals
        self._outbox = outbox
        self._keeping = keeping
        self._clock, self._cpu_clock = clock, cpu_clock
        self._last_s, self._last_cpu_s = clock(), cpu_clock()

    def wait_s(self) -> float | None:
        """Time until the next one; None if there are none."""
        return max(0.0, self._last_s + self._interval_s - self._clock()) if self._interval_s else None

    def next(self) -> pb.RecognizeRequest:
        """The heartbeat; the next one is due an interval from now. cpu_ratio: since the last one, of one core."""
        now_s, cpu_s = self._clock(), self._cpu_clock()
        cpu_ratio = (cpu_s - self._last_cpu_s) / max(now_s - self._last_s, 1e-3)
        self._last_s, self._last_cpu_s = now_s, cpu_s
        return pb.RecognizeRequest(
            heartbeat=pb.Heartbeat(
                sample=self._vitals.sample,
                lost_samples=self._vitals.lost_samples,
                cpu_ratio=cpu_ratio,
                resident_bytes=resident_bytes(),
                unacknowledged_segments=len(self._outbox),
                spool_bytes=self._keeping.spool_bytes,
                dropped_segments=self._keeping.dropped_segments,
                dropped_samples=self._keeping.dropped_samples,
            )
        )
