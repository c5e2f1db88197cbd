"""Utterances made of random numbers, of devices that differ from each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voxloop_cloud.drift.metric import METRICS, SETTINGS, SLICES
from voxloop_cloud.drift.utterances import Floats, Utterances

Shifts = Mapping[str, float]


@dataclass(slots=True)
class MadeStream:
    """Devices whose means are far apart, and sittings whose utterances are alike: deviations of 3, 1 and 1.

    evening: by how much all values are greater between 18:00 and midnight.
    """

    devices: int = 30
    between: float = 3.0
    sitting: float = 1.0
    evening: float = 0.0
    seed: int = 0
    _rng: np.random.Generator = field(init=False)
    _of_device: Floats = field(init=False)
    _now_s: float = 0.0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._of_device = self._rng.normal(0.0, self.between, (self.devices, len(METRICS)))

    def utterances(
        self,
        count: int,
        shifts: Shifts | None = None,
        settings: Mapping[str, str] | None = None,
        shifted: Callable[[int], bool] = lambda _: True,
    ) -> Utterances:
        """So many in a row; shifts by metric and changed settings, for the devices that `shifted` is true of."""
        device, times_s, values = self._sittings(count)
        is_shifted = np.array([shifted(int(each)) for each in device])
        for number, metric in enumerate(METRICS):
            values[:, number] += is_shifted * (shifts or {}).get(metric.name, 0.0)
        kinds = np.array([f"kind-{each % 3}" for each in device], np.str_)
        return Utterances(
            np.array([f"device-{each:03d}" for each in device], np.str_),
            times_s,
            {metric.name: values[:, number] for number, metric in enumerate(METRICS)},
            {
                setting.name: np.where(is_shifted, (settings or {}).get(setting.name, "usual"), "usual")
                for setting in SETTINGS
            },
            {name: kinds if name == "device_kind" else np.full(count, "same", np.str_) for name in SLICES},
        )

    def _sittings(self, count: int) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
        """Of each utterance its device, when it was, and its values. Sittings are five minutes apart."""
        device: list[int] = []
        times_s: list[float] = []
        rows: list[Floats] = []
        while len(device) < count:
            who, length = int(self._rng.integers(self.devices)), int(self._rng.geometric(0.3))
            mood = self._rng.normal(self._evening(), self.sitting, len(METRICS))
            device += [who] * length
            times_s += [self._now_s + 5.0 * at for at in range(length)]
            rows += list(self._of_device[who] + mood + self._rng.normal(0.0, 1.0, (length, len(METRICS))))
            self._now_s += 300.0
        return np.array(device[:count]), np.array(times_s[:count]), np.array(rows[:count])

    def _evening(self) -> float:
        return self.evening if self._now_s % 86_400 >= 18 * 3_600 else 0.0
