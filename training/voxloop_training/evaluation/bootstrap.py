"""How far an error rate may be from the truth: the bootstrap of Bisani and Ney (ICASSP 2004).

Whole units (speakers, or clips) are drawn with replacement, as many as there are, and the rate is computed anew, many
times. What the errors of one unit have in common stays together, which an interval over single words would deny.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

MIN_SPEAKERS: Final = 8
"""With fewer, speakers are no sample that an interval can be drawn from, and clips are taken instead."""

Unit = Literal["speakers", "clips"]
Counts = npt.NDArray[np.int64]
"""Errors or words of each clip or unit, shape (N,) int64."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the middle of the resampled rates lies."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A rate minus that of the baseline on the same clips.

    better_share: of the resamples, those in which it is lower than the baseline's; equal ones count half.
    """

    rate: float
    interval: Interval
    better_share: float


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The same seed draws the same units, so that systems are compared on the same resamples.

    confidence: share of the resamples within an interval.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def interval(self, errors: Counts, words: Counts, units: Sequence[object]) -> Interval | None:
        """Of the rate sum(errors) / sum(words). units: what each clip belongs to, of any hashable kind.

        None where fewer than two units have words: of one, nothing can be said.
        """
        errors, words = _by_unit(errors, units), _by_unit(words, units)
        if np.count_nonzero(words) < 2:
            return None
        return self._middle(self._rates(errors, words))

    def difference(
        self, errors: Counts, baseline_errors: Counts, words: Counts, units: Sequence[object]
    ) -> Difference | None:
        """Of two systems on the same clips, in the same order. None where `interval` gives None."""
        changes, words = _by_unit(errors - baseline_errors, units), _by_unit(words, units)
        if np.count_nonzero(words) < 2:
            return None
        rates = self._rates(changes, words)
        better_share = float(np.mean(rates < 0) + np.mean(rates == 0) / 2)
        return Difference(float(changes.sum() / words.sum()), self._middle(rates), better_share)

    def _rates(self, errors: Counts, words: Counts) -> npt.NDArray[np.float64]:
        """One rate per resample; those in which no unit has words tell nothing and are left out."""
        rng = np.random.default_rng(self.seed)
        drawn = rng.multinomial(len(words), np.full(len(words), 1.0 / len(words)), size=self.resamples)
        error_sums, word_sums = drawn @ errors, drawn @ words
        told = word_sums > 0
        rates: npt.NDArray[np.float64] = error_sums[told] / word_sums[told]
        return rates

    def _middle(self, rates: npt.NDArray[np.float64]) -> Interval:
        outside = (1.0 - self.confidence) / 2
        low, high = np.quantile(rates, (outside, 1.0 - outside))
        return Interval(float(low), float(high))


def choose_units(speakers: Sequence[str | None]) -> tuple[Unit, list[object]]:
    """What to draw, given each clip's speaker: speakers if all are known and enough, else clips."""
    if None not in speakers and len(set(speakers)) >= MIN_SPEAKERS:
        return "speakers", list(speakers)
    return "clips", list(range(len(speakers)))


def _by_unit(counts: Counts, units: Sequence[object]) -> Counts:
    number_of_unit: dict[object, int] = {}
    numbers = [number_of_unit.setdefault(unit, len(number_of_unit)) for unit in units]
    sums: Counts = np.zeros(len(number_of_unit), np.int64)
    np.add.at(sums, numbers, counts)
    return sums
