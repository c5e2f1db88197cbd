"""Each turn's rank among all turns before it: a score in [0, 1] that means the same for every metric.

As long as turns are exchangeable, ranks are uniform and independent of each other, whatever the distribution of what is
ranked, so their mean is 1/2 exactly, with however few turns to compare with (conformal test martingales: Vovk, "Testing
randomness online", Statistical Science 2021).
"""

from typing import Final

import numpy as np

from voxloop_cloud.drift.baseline import Baseline
from voxloop_cloud.drift.turns import Turns
from voxloop_cloud.drift.utterances import Floats

MOST_TURNS: Final = 5_000
"""That are remembered for each test; from then on turns are ranked among these, which moves the mean by 0.004 or so."""

LEAST_TURNS: Final = 20
"""Of a slice; with fewer to compare with it is not tested."""


class Ranks:
    """Ranks of turns, one test for each pair of a slice and a metric: the metrics of the first slice come first."""

    def __init__(self, baseline: Baseline, rng: np.random.Generator) -> None:
        """rng: breaks ties."""
        self._rng = rng
        self._slices = baseline.slices
        self._metrics = len(baseline.names)
        turns = baseline.turns
        self._known = [
            np.sort(column[~np.isnan(column)][-MOST_TURNS:])
            for part in self._slices
            for column in turns.means[part.within(turns.slices, len(turns))].T
        ]

    @property
    def tests(self) -> int:
        """How many there are."""
        return len(self._known)

    def scores_of(self, turns: Turns) -> Floats:
        """The next turns' scores, (turns, tests); NaN where a turn is not in the slice or has no value."""
        scores = np.full((len(turns), self.tests), np.nan)
        ties = self._rng.random((len(turns), self._metrics))
        for number, part in enumerate(self._slices):
            rows = np.flatnonzero(part.within(turns.slices, len(turns)))
            for metric in range(self._metrics):
                test = number * self._metrics + metric
                measured = rows[~np.isnan(turns.means[rows, metric])]
                if len(measured):
                    scores[measured, test] = self._rank(test, turns.means[measured, metric], ties[measured, metric])
        return scores

    def _rank(self, test: int, values: Floats, ties: Floats) -> Floats:
        known = self._known[test]
        left, right = np.searchsorted(known, values, "left"), np.searchsorted(known, values, "right")
        earlier = np.tri(len(values), k=-1)  # a turn is ranked among those before it in this look, too
        less = left + (earlier * (values[None, :] < values[:, None])).sum(axis=1)
        equal = right - left + (earlier * (values[None, :] == values[:, None])).sum(axis=1)
        scores = (less + ties * (equal + 1)) / (len(known) + np.arange(len(values)) + 1)
        if len(known) < LEAST_TURNS:
            scores = np.full(len(values), np.nan)
        if len(known) < MOST_TURNS:
            order = np.argsort(values, kind="stable")
            self._known[test] = np.insert(known, left[order], values[order])
        return np.asarray(scores)
