"""The mean of values that come one by one, and between which bounds it lies, however often one looks."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxloop_cloud.rollout.capital import Capital, Values

_STEPS: Final = np.geomspace(0.001, 1.0, 20)
"""Distances from a mark at which bounds may lie, as parts of the range: fine where it matters."""

FEW: Final = 10
"""Values, of which fewer say nothing about those to come."""

_EDGE: Final = 1e-6
"""A mean at an end of the range cannot be bet against."""


@dataclass(frozen=True, slots=True)
class Range:
    """What values there may be."""

    low: float
    high: float

    def scaled(self, value: float) -> float:
        """Between 0 and 1."""
        return (value - self.low) / (self.high - self.low)


class BoundedMean:
    """A confidence sequence: that the mean ever lies below `low` has a probability of at most alpha_low, however often
    one looks; above `high`, alpha_high.

    The mean: that of each value, given all before it. It is enough for `low` that it never lies below it, and the other
    way round. Bounds lie on a grid that is densest around the marks, and are never closer than what is proven.
    """

    def __init__(self, values_in: Range, marks: Sequence[float], alpha_low: float, alpha_high: float) -> None:
        """marks: means that will be asked about; each is on the grid."""
        self.count = 0
        self._range = values_in
        self._sum = 0.0
        self._grid = _grid([values_in.scaled(mark) for mark in marks])
        self._above, self._below = Capital(self._grid), Capital(1.0 - self._grid)
        self._goal_low, self._goal_high = -math.log(alpha_low), -math.log(alpha_high)

    def push(self, values: Iterable[float]) -> None:
        """Takes values in the order in which they became known. Raises ValueError for one beyond the range."""
        found = np.fromiter(values, np.float64)
        scaled = (found - self._range.low) / (self._range.high - self._range.low)
        if not ((scaled >= 0.0) & (scaled <= 1.0)).all():
            raise ValueError(f"values of {found.min():g} to {found.max():g}; the range is {self._range}")
        self.count += len(found)
        self._sum += float(found.sum())
        self._above.bet(scaled)
        self._below.bet(1.0 - scaled)

    @property
    def estimate(self) -> float | None:
        """The mean of the values so far; None if there are none."""
        return self._sum / self.count if self.count else None

    @property
    def low(self) -> float:
        """The mean lies above this."""
        rejected = self._grid[self._above.highest >= self._goal_low]
        return self._unscaled(rejected.max()) if len(rejected) else self._range.low

    @property
    def high(self) -> float:
        """The mean lies below this."""
        rejected = self._grid[self._below.highest >= self._goal_high]
        return self._unscaled(rejected.min()) if len(rejected) else self._range.high

    def is_above(self, mark: float) -> bool:
        """Whether it is proven that the mean lies above a mark."""
        return bool(self._above.highest[self._place(mark)] >= self._goal_low)

    def is_below(self, mark: float) -> bool:
        """Whether it is proven that the mean lies below a mark."""
        return bool(self._below.highest[self._place(mark)] >= self._goal_high)

    def values_to_below(self, mark: float, otherwise: float) -> int | None:
        """How many values more until it is proven that the mean lies below a mark, if they go on as so far.

        otherwise: as what they are thought to go on while there are fewer than FEW. None if they would never prove it.
        """
        place = self._place(mark)
        if self.count >= FEW:
            return self._below.values_to(self._goal_high, place)
        thought = Capital(1.0 - self._grid[[place]])
        thought.bet(np.full(FEW, 1.0 - self._range.scaled(otherwise)))
        needed = thought.values_to(self._goal_high, 0)
        return None if needed is None else needed + FEW - self.count

    def _place(self, mark: float) -> int:
        place = int(np.argmin(np.abs(self._grid - _inside(self._range.scaled(mark)))))
        assert abs(self._grid[place] - _inside(self._range.scaled(mark))) < _EDGE, "a mean that is no mark"
        return place

    def _unscaled(self, value: float) -> float:
        return self._range.low + float(value) * (self._range.high - self._range.low)


def _grid(marks: Sequence[float]) -> Values:
    steps = np.concatenate([-_STEPS, [0.0], _STEPS])
    points = np.concatenate([mark + steps for mark in marks])
    inside = points[(points > 0.0) & (points < 1.0)]
    grid: Values = np.unique(np.concatenate([inside, [_inside(mark) for mark in marks]]))
    return grid


def _inside(mark: float) -> float:
    return min(max(mark, _EDGE), 1.0 - _EDGE)
