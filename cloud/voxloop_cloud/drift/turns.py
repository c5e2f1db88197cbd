"""Turns: what one device says within a while, which counts once.

Utterances of a device are alike, and those of one sitting more so: as so many independent ones they would seem to
prove far too much. Their mean counts as one observation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxloop_cloud.drift.utterances import Floats, Indices, Mask, Strings, Utterances

LEAST_DEVICES: Final = 3


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the utterances: those with a value in a column; the whole, if the column is empty.

    is_new: nothing before was in it, as none had this app version yet, so that it is compared with the whole.
    """

    column: str = ""
    value: str = ""
    is_new: bool = False

    def __str__(self) -> str:
        if self.is_new:
            return self.column
        return f"{self.column}={self.value}" if self.column else "all"

    @property
    def least_devices(self) -> int:
        """That must have spoken before anything is said of it: one device that is odd is no odd kind of devices."""
        return LEAST_DEVICES if self.column else 1

    @property
    def compared_with(self) -> "Slice":
        """The part of what was before that is like it."""
        return WHOLE if self.is_new else self

    def within(self, slices: Mapping[str, Strings], rows: int) -> Mask:
        """Which of the rows are in it, (rows,)."""
        return slices[self.column] == self.value if self.column else np.ones(rows, np.bool_)


WHOLE: Final = Slice()


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """U turns: means of residuals, (U, X), NaN where nothing was measured; when they began, in Unix seconds, and the
    slices that they are in, (U,)."""

    means: Floats
    began_s: Floats
    slices: Mapping[str, Strings]

    def __len__(self) -> int:
        return len(self.means)

    def take(self, which: Mask) -> "Turns":
        """Some of them."""
        slices = {name: column[which] for name, column in self.slices.items()}
        return Turns(self.means[which], self.began_s[which], slices)


class TurnTaker:
    """Makes turns of looks, one after the other.

    A turn is what a device says within turn_s of its first utterance, as far as it lies in one look. What it says in
    that time in other looks is left out, so that no two turns are parts of one sitting.
    """

    def __init__(self, turn_s: float) -> None:
        self._turn_s = turn_s
        self._began_s: dict[tuple[str, ...], float] = {}  # the running turns, by device and slices

    def take(self, utterances: Utterances, residuals: Floats) -> Turns:
        """The turns that begin in the next look, in the order of their first utterances. residuals: (N, X)."""
        turn_of, first = self._grouped(utterances)
        counts_at = np.flatnonzero(turn_of >= 0)
        known = ~np.isnan(residuals[counts_at])
        sums = np.zeros((len(first), residuals.shape[1]))
        counts = np.zeros_like(sums)
        np.add.at(sums, turn_of[counts_at], np.where(known, residuals[counts_at], 0.0))
        np.add.at(counts, turn_of[counts_at], known)
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        return Turns(
            means, utterances.times_s[first], {name: column[first] for name, column in utterances.slices.items()}
        )

    def _grouped(self, utterances: Utterances) -> tuple[Indices, Indices]:
        """The turn of each utterance, (N,), -1 if it counts in none, and each turn's first utterance, (U,)."""
        turn_of_key: dict[tuple[str, ...], int] = {}
        turn_of: list[int] = []
        first: list[int] = []
        whose = zip(utterances.devices.tolist(), *(each.tolist() for each in utterances.slices.values()), strict=True)
        for at, (key, time_s) in enumerate(zip(whose, utterances.times_s.tolist(), strict=True)):
            began_s = self._began_s.get(key)
            if began_s is None or abs(time_s - began_s) > self._turn_s:  # labels come in any order
                self._began_s[key] = time_s
                turn_of_key[key] = len(first)
                first.append(at)
            turn_of.append(turn_of_key.get(key, -1))
        self._forget_before(float(utterances.times_s.max()) - self._turn_s if len(utterances) else 0.0)
        return np.array(turn_of, np.intp), np.array(first, np.intp)

    def _forget_before(self, time_s: float) -> None:
        self._began_s = {key: began_s for key, began_s in self._began_s.items() if began_s >= time_s}


def joined_turns(parts: list[Turns]) -> Turns:
    """Those of several looks; at least one."""
    return Turns(
        np.concatenate([part.means for part in parts]),
        np.concatenate([part.began_s for part in parts]),
        {name: np.concatenate([part.slices[name] for part in parts]) for name in parts[0].slices},
    )
