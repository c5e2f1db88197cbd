"""How much one device may send in a minute: token buckets, pure, with time as an argument; and who has which.

A segment that has begun may always be ended, so a bucket may go into debt; the next segment waits until it is paid.
So nothing that was sent is sent in vain, and no segment is too long to ever pass.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from voxloop_cloud.limits import Limits
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import OverloadError

MAX_DEVICES = 10_000
"""Devices that are remembered. One beyond them pushes out the one that was silent for longest: its minute is over."""

MIN_MESSAGE_BYTES = 1_024
"""A message counts as so many bytes at least: it costs work, however short it is."""

LONGEST_WAIT_MS = 60_000

_PCM16_BYTES_PER_MS = SAMPLE_RATE_HZ * 2 // 1_000


@dataclass(slots=True)
class Bucket:
    """Holds a minute's allowance, and is filled evenly. level: what is left at at_s; below 0 it is a debt."""

    per_minute: int
    level: float
    at_s: float

    def fill(self, now_s: float) -> None:
        """Adds what has come in since."""
        self.level = min(self.per_minute, self.level + max(0.0, now_s - self.at_s) * self.per_minute / 60.0)
        self.at_s = now_s

    def spend(self, amount: int) -> None:
        """Takes an amount, whether it is there or not."""
        self.level -= amount

    def wait_ms(self) -> int:
        """Time until there is anything left again; 0: there is now."""
        return 0 if self.level > 0 else int(-self.level * 60_000.0 / self.per_minute) + 1


class DeviceRate:
    """One device's minute, over all its sessions."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._bytes = Bucket(limits.max_bytes_per_minute, limits.max_bytes_per_minute, now_s)
        self._segments = Bucket(limits.max_segments_per_minute, limits.max_segments_per_minute, now_s)
        self._max_debt_bytes = limits.max_sessions_per_device * limits.max_segment_ms * _PCM16_BYTES_PER_MS

    def take_message(self, size_bytes: int, now_s: float) -> None:
        """Counts a message. Raises OverloadError when even all segments that may be open would be over by now."""
        self._bytes.fill(now_s)
        self._bytes.spend(max(size_bytes, MIN_MESSAGE_BYTES))
        if self._bytes.level < -self._max_debt_bytes:
            raise _overload(f"{self._bytes.per_minute} bytes", self._bytes)

    def begin_segment(self, now_s: float) -> None:
        """Counts a segment. Raises OverloadError, which says when to come back, if the minute's allowance is gone."""
        for bucket, unit in ((self._bytes, "bytes"), (self._segments, "segments")):
            bucket.fill(now_s)
            if bucket.wait_ms():
                raise _overload(f"{bucket.per_minute} {unit}", bucket)
        self._segments.spend(1)


def _overload(allowed: str, bucket: Bucket) -> OverloadError:
    message = f"this device has sent more than {allowed} in a minute, the most allowed; send the segment again later"
    return OverloadError(message, retry_after_ms=min(bucket.wait_ms(), LONGEST_WAIT_MS))


class DeviceRates:
    """The minutes of the devices that spoke last; bound: max_devices."""

    def __init__(
        self, limits: Limits, max_devices: int = MAX_DEVICES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self._limits = limits
        self._max_devices = max_devices
        self._rates: OrderedDict[str, DeviceRate] = OrderedDict()

    def __len__(self) -> int:
        """Devices that are remembered."""
        return len(self._rates)

    def of(self, device_id: str) -> DeviceRate:
        """The device's minute, known or new."""
        rate = self._rates.setdefault(device_id, DeviceRate(self._limits, self.clock()))
        self._rates.move_to_end(device_id)
        while len(self._rates) > self._max_devices:
            self._rates.popitem(last=False)
        return rate
