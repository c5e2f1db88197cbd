"""What a bundle changed for the devices that it answers, beside those that it does not. Pure."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Measures: TypeAlias = npt.NDArray[np.float64]
"""One utterance's, (K,) in [0, 1]."""

MOST_DEVICES: Final = 2_000
MOST_BEFORE: Final = 100
"""Utterances of a device from before the rollout that are remembered."""


class MatchedChange:
    """Compares each utterance with one of the same device from before the rollout, and the change with that of devices
    that stayed with the present bundle.

    A bundle is given to devices, and devices differ: one in a kitchen is always heard worse. Means of two groups of
    devices differ for ever, and a test that looks long enough finds that. The change on one device does not have its
    kitchen in it; the change of the others takes out what changed for all, say on a Monday.

    Bounded: the first MOST_DEVICES devices count. An utterance from before is used once, the latest first.
    """

    def __init__(self, measures: int) -> None:
        """measures: K, how many there are of an utterance."""
        self._before: dict[str, deque[Measures]] = {}
        self._moved, self._stayed = _Pending(measures), _Pending(measures)
        self.moved_devices: set[str] = set()
        self.unmatched = 0

    def wants(self, device_id: str) -> bool:
        """Whether utterances from before are to be given of this device, which was not heard yet."""
        return device_id not in self._before and len(self._before) < MOST_DEVICES

    def remember(self, device_id: str, before: Iterable[Sequence[float]]) -> None:
        """Takes a device's utterances from before the rollout, the latest first; maybe none."""
        known = (np.asarray(measures, np.float64) for measures in before)
        self._before[device_id] = deque(measures for measures, _ in zip(known, range(MOST_BEFORE), strict=False))

    def hear(self, device_id: str, is_moved: bool, measures: Sequence[float]) -> Measures | None:
        """Takes an utterance of the rollout; gives how much more changed for a device that moved, (K,) in [-2, 2].

        None while there is nothing to compare with. When it is given depends on who spoke, never on what was measured.
        """
        known = self._before.get(device_id)
        if not known:
            self.unmatched += is_moved
            return None
        if is_moved:
            self.moved_devices.add(device_id)
        (self._moved if is_moved else self._stayed).add(np.asarray(measures, np.float64) - known.popleft())
        if not (self._moved.count and self._stayed.count):
            return None
        return self._moved.take() - self._stayed.take()


class _Pending:
    """Changes that are not yet compared with others."""

    def __init__(self, measures: int) -> None:
        self._none = np.zeros(measures)
        self._sum = self._none
        self.count = 0

    def add(self, change: Measures) -> None:
        self._sum = self._sum + change
        self.count += 1

    def take(self) -> Measures:
        mean: Measures = self._sum / self.count
        self._sum, self.count = self._none, 0
        return mean
