"""The best path of a search: what was heard when, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import kaldifst
import numpy as np
import numpy.typing as npt

from voxloop_cloud.graph_alignment import Run, align, runs_of
from voxloop_cloud.graph_lexicon import GraphLexicon

_ARC_FIELDS: Final = 6
"""Source, target, label, word, and the costs of grammar and sound."""
_FINAL_FIELDS: Final = 3
"""Of the last state: itself and the two costs of ending there."""

Costs = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word and its phones. start, end: searched frames, the end not included; equal if ahead of them."""

    text: str
    runs: Sequence[Run]
    start: int
    end: int

    def within(self, start: int, end: int) -> Self:
        """The same without the frames that others have; it may have none left."""
        runs = (Run(run.phone, max(run.first, start), min(run.last, end - 1)) for run in self.runs)
        return replace(
            self,
            runs=[run for run in runs if run.first <= run.last],
            start=min(max(self.start, start), end),
            end=max(min(self.end, end), start),
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """A word of the best path, or a hotword in place of some: what becomes stable as one.

    numbers: of the best path's words that it stands for, none if it was put between two.
    start, end: searched frames, the end not included.
    """

    numbers: tuple[int, ...]
    words: tuple[HeardWord, ...]
    start: int
    end: int

    def within(self, start: int, end: int) -> Self:
        """The same without the frames that others have; it may have none left."""
        if start <= self.start and self.end <= end:
            return self
        words = tuple(word.within(start, end) for word in self.words)
        return replace(self, words=words, start=words[0].start, end=words[-1].end)


@dataclass(frozen=True, slots=True)
class BestPath:
    """A search's best path so far. lattice: kaldifst.Lattice, linear."""

    lattice: Any
    frames: int

    def heard(self, lexicon: GraphLexicon, blank_id: int) -> list[Heard]:
        """Its words; the last one may not have been said whole."""
        _, labels, words, _ = kaldifst.get_linear_symbol_sequence(self.lattice)
        runs = runs_of([label - 1 for label in labels], blank_id)
        aligned = align(words, runs, lexicon)
        return [self._heard(word, lexicon.word(word), its) for word, its in zip(words, aligned, strict=True)]

    def costs(self) -> Costs:
        """What the path has cost before each searched frame and after the last, (T + 1,): sound and grammar.

        What the grammar takes between two frames is counted with the second.
        """
        text = self.lattice.to_str(show_weight_one=True)
        fields = text.replace(",", " ").split()[:-_FINAL_FIELDS]
        arcs = np.array(fields, np.float64).reshape(-1, _ARC_FIELDS)
        assert np.array_equal(arcs[:, 1], arcs[:, 0] + 1), "the states of a best path come in order"
        spent = np.cumsum(arcs[:, 4] + arcs[:, 5])
        return np.concatenate(([0.0], spent[arcs[:, 2] > 0]))

    def _heard(self, number: int, text: str, runs: Sequence[Run]) -> Heard:
        start, end = (runs[0].first, runs[-1].last + 1) if runs else (self.frames, self.frames)
        return Heard((number,), (HeardWord(text, runs, start, end),), start, end)
