"""Turns: what one device said within one look, which counts once.

Utterances of a device are alike, and those of one sitting more so: as so many independent ones they would seem to
prove far too much. Their mean counts as one observation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxloop_cloud.drift.utterances import Floats, Indices, Mask, Strings, Utterances

MOST_IN_A_TURN: Final = 10
"""Utterances; a device that says more within one look begins another turn, so that one that speaks alone is heard."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the utterances: those with a value in a column; the whole, if the column is empty."""

    column: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.column}={self.value}" if self.column else "all"

    def within(self, slices: Mapping[str, Strings], rows: int) -> Mask:
        """Which of the rows are in it, (rows,)."""
        return slices[self.column] == self.value if self.column else np.ones(rows, np.bool_)


WHOLE: Final = Slice()


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """U turns: means of residuals, (U, X), NaN where nothing was measured, and the slices that they are in, (U,)."""

    means: Floats
    slices: Mapping[str, Strings]

    def __len__(self) -> int:
        return len(self.means)


def turns_of(utterances: Utterances, residuals: Floats) -> Turns:
    """The turns of one look, in the order of their first utterances. residuals: (N, X)."""
    turn_of, first = _grouped(utterances)
    known = ~np.isnan(residuals)
    sums = np.zeros((len(first), residuals.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, turn_of, np.where(known, residuals, 0.0))
    np.add.at(counts, turn_of, known)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return Turns(means, {name: column[first] for name, column in utterances.slices.items()})


def joined_turns(parts: list[Turns]) -> Turns:
    """Those of several looks; at least one."""
    return Turns(
        np.concatenate([part.means for part in parts]),
        {name: np.concatenate([part.slices[name] for part in parts]) for name in parts[0].slices},
    )


def _grouped(utterances: Utterances) -> tuple[Indices, Indices]:
    """The turn of each utterance, (N,), and each turn's first utterance, (U,)."""
    said: dict[tuple[str, ...], int] = {}
    turn_of_key: dict[tuple[object, ...], int] = {}
    turn_of: list[int] = []
    first: list[int] = []
    for at, key in enumerate(zip(utterances.devices, *utterances.slices.values(), strict=True)):
        said[key] = said.get(key, -1) + 1
        turn = turn_of_key.setdefault((key, said[key] // MOST_IN_A_TURN), len(first))
        if turn == len(first):
            first.append(at)
        turn_of.append(turn)
    return np.array(turn_of, np.intp), np.array(first, np.intp)
