"""Each turn's rank among all turns before it: a score in [0, 1] that means the same for every metric.

As long as turns are exchangeable, ranks are uniform and independent of each other, whatever the distribution of what is
ranked, so their mean is 1/2 exactly, with however few turns to compare with (conformal test martingales: Vovk, "Testing
randomness online", Statistical Science 2021). Evenings are not as mornings are: turns are compared within a part of the
day, so that only those need be exchangeable (conformal prediction calls this Mondrian).
"""

from typing import Final

import numpy as np

from voxloop_cloud.drift.baseline import Baseline
from voxloop_cloud.drift.turns import Turns
from voxloop_cloud.drift.utterances import Floats

MOST_TURNS: Final = 1_000
"""That are remembered of a slice and part of the day. Later ones are ranked among these: the mean is some 0.01 off."""

LEAST_TURNS: Final = 8
"""Of a slice and part of the day; with fewer to compare with a rank says too little to bet on."""

_MOST_UNSORTED: Final = 200


class Ranks:
    """Ranks of turns, one test for each pair of a slice and a metric: the metrics of the first slice come first."""

    def __init__(self, baseline: Baseline, rng: np.random.Generator) -> None:
        """rng: breaks ties."""
        self._rng = rng
        self._baseline = baseline
        self._slices = baseline.slices
        self._metrics = len(baseline.names)
        turns, parts = baseline.turns, baseline.parts_of(baseline.turns)
        self._known = [
            [KnownTurns(turns.means[inside & (parts == part)]) for part in range(baseline.parts_of_day)]
            for inside in (each.compared_with.within(turns.slices, len(turns)) for each in self._slices)
        ]

    @property
    def tests(self) -> int:
        """How many there are."""
        return len(self._slices) * self._metrics

    def scores_of(self, turns: Turns) -> Floats:
        """The next turns' scores, (turns, tests); NaN where a turn is not in the slice or has no value."""
        scores = np.full((len(turns), len(self._slices), self._metrics), np.nan)
        parts = self._baseline.parts_of(turns)
        ties = self._rng.random((len(turns), self._metrics))
        for number, each in enumerate(self._slices):
            inside = each.within(turns.slices, len(turns))
            for part in np.unique(parts[inside]):
                which = np.flatnonzero(inside & (parts == part))
                scores[which, number] = self._known[number][part].rank(turns.means[which], ties[which])
        return scores.reshape(len(turns), self.tests)


class KnownTurns:
    """The turns of one slice and part of the day so far: sorted by each metric, but for the latest."""

    def __init__(self, means: Floats) -> None:
        """means: (turns, metrics), NaN where not measured."""
        means = means[-MOST_TURNS:]
        self._sorted = [np.sort(column[~np.isnan(column)]) for column in means.T]
        self._turns = len(means)
        self._latest: Floats = means[:0]

    def __len__(self) -> int:
        return self._turns

    def rank(self, values: Floats, ties: Floats) -> Floats:
        """The scores of the next turns, (U, metrics), each among those known and those before it; then they are known.

        ties: numbers in [0, 1), by which equal values are ranked.
        """
        recent = np.concatenate((self._latest, values))
        is_earlier = np.tri(len(values), len(recent), len(self._latest) - 1, np.bool_)[:, :, None]
        less = ((recent < values[:, None]) & is_earlier).sum(axis=1).astype(np.float64)
        equal = ((recent == values[:, None]) & is_earlier).sum(axis=1).astype(np.float64)
        among = (~np.isnan(recent) & is_earlier).sum(axis=1).astype(np.float64)
        for metric, known in enumerate(self._sorted):
            left = np.searchsorted(known, values[:, metric], "left")
            less[:, metric] += left
            equal[:, metric] += np.searchsorted(known, values[:, metric], "right") - left
            among[:, metric] += len(known)
        self._remember(recent)
        untested = np.isnan(values) | (among < LEAST_TURNS)
        return np.asarray(np.where(untested, np.nan, (less + ties * (equal + 1)) / (among + 1)))

    def _remember(self, recent: Floats) -> None:
        if self._turns >= MOST_TURNS:
            return
        self._turns += len(recent) - len(self._latest)
        self._latest = recent
        if len(recent) >= _MOST_UNSORTED or self._turns >= MOST_TURNS:
            columns = zip(self._sorted, recent.T, strict=True)
            self._sorted = [np.sort(np.concatenate((known, new[~np.isnan(new)]))) for known, new in columns]
            self._latest = recent[:0]
