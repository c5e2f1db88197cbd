"""Utterances as columns, in the order in which they came."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voxloop_cloud.drift.metric import METRICS, SETTINGS, SLICES, Metric, Row, Setting

Floats = npt.NDArray[np.float64]
Strings = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Utterances:
    """N utterances: whose they are and when they came, in Unix seconds; metrics by name, NaN where not measured;
    settings and slices by name. All (N,)."""

    devices: Strings
    times_s: Floats
    values: Mapping[str, Floats]
    settings: Mapping[str, Strings] = field(default_factory=dict)
    slices: Mapping[str, Strings] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.devices)

    def take(self, which: Mask | Indices | slice) -> "Utterances":
        """Some of them."""
        return Utterances(
            self.devices[which],
            self.times_s[which],
            {name: column[which] for name, column in self.values.items()},
            {name: column[which] for name, column in self.settings.items()},
            {name: column[which] for name, column in self.slices.items()},
        )


def from_rows(
    rows: Sequence[Row],
    metrics: Iterable[Metric] = METRICS,
    settings: Iterable[Setting] = SETTINGS,
    slices: Iterable[str] = SLICES,
) -> Utterances:
    """The columns of rows of UTTERANCES."""
    return Utterances(
        np.array([str(row["device_id"]) for row in rows], np.str_),
        np.array([row["arrived_s"] for row in rows], np.float64),
        {metric.name: np.array([metric.of(row) for row in rows], np.float64) for metric in metrics},
        {setting.name: np.array([setting.of(row) for row in rows], np.str_) for setting in settings},
        {name: np.array([row.get(name) or "" for row in rows], np.str_) for name in slices},
    )


def joined(parts: Sequence[Utterances]) -> Utterances:
    """Several, one after the other; at least one, all of the same columns."""
    first = parts[0]
    return Utterances(
        np.concatenate([part.devices for part in parts]),
        np.concatenate([part.times_s for part in parts]),
        {name: np.concatenate([part.values[name] for part in parts]) for name in first.values},
        {name: np.concatenate([part.settings[name] for part in parts]) for name in first.settings},
        {name: np.concatenate([part.slices[name] for part in parts]) for name in first.slices},
    )
