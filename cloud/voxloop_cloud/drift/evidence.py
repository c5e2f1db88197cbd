"""Evidence against "nothing has changed" that may be looked at as often as one likes.

A test martingale bets on bounded scores (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting", JRSS B 2024): its wealth is multiplied by 1 + bet * (score - most), and cannot be expected to grow while the
expected score, given all before, is at most `most`. By Ville's inequality it ever reaches 1 / alpha with a probability
of at most alpha. So that a change late in the week is found soon, money is laid aside at the start for bets that begin
at every other look, and the evidence is what all of it has become (mixtures of e-processes: Shin, Ramdas and Rinaldo,
"E-detectors", 2023; Ramdas, Gruenwald, Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference",
2023).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from voxloop_cloud.drift.utterances import Floats


@dataclass(frozen=True, slots=True)
class Betting:
    """How a detector bets.

    stakes: shares of the greatest bet that cannot lose all, 0 to 1; wealth is divided evenly among them.
    begins_every: looks from one bet's beginning to the next. ends_after: looks that a bet lasts; None: to the end.
    """

    stakes: tuple[float, ...]
    begins_every: int
    ends_after: int | None

    def starts_within(self, looks: int) -> int:
        """Bets that begin in so many looks."""
        return -(-looks // self.begins_every)


SUDDEN: Final = Betting(stakes=(0.4, 0.7, 0.95), begins_every=2, ends_after=12)
GRADUAL: Final = Betting(stakes=(0.05, 0.1, 0.2, 0.4), begins_every=10, ends_after=None)
RANK_POWER: Final = 3
_PLANNED_SHARE: Final = 0.75
SIDES: Final = 2
"""0: scores are greater than they were; 1: smaller."""


def gains_of(scores: Floats, tolerance: float | Floats, betting: Betting, power: int = 1) -> Floats:
    """Logarithms of what the bets gain in one look, (tests, SIDES, stakes).

    scores: (turns, tests) in [0, 1], NaN where there is none. tolerance: one, or that of each test.

    Bets are on the scores' powers, and on those of 1 - score. As long as nothing has changed the expectation of these
    is at most `tolerance` above 1 / (power + 1), which it is of even scores. Such scores, ranks, are bet on with power
    3: a shift by one deviation wins a fifth more than with 1, one by three deviations twice as much.
    """
    most = 1.0 / (power + 1) + np.asarray(tolerance)[..., None, None]
    bets = np.asarray(betting.stakes) / most
    both = np.stack((scores, 1.0 - scores), axis=-1)[..., None] ** power
    return np.asarray(np.nansum(np.log1p(bets * (both - most)), axis=0))


@dataclass(slots=True)
class _Bet:
    look: int
    money: float
    worth_at_start: Floats  # (tests, SIDES, stakes), logarithms


class Evidence:
    """E-values of one detector over one period. Memory: at most as many bets as run at once.

    Bets that begin within the plan have three quarters of the money, each the same; those beyond it have ever less, so
    that a week that is busier than expected is watched to its end.
    """

    def __init__(self, betting: Betting, tests: int, planned_looks: int) -> None:
        """planned_looks: that the period is expected to have; bets that last to the end begin in these alone."""
        self._betting = betting
        self._planned_starts = max(1, betting.starts_within(planned_looks))
        self._worth = np.zeros((tests, SIDES, len(betting.stakes)))
        self._ended = np.zeros((tests, SIDES))
        self._bets: list[_Bet] = []
        self._starts = self._looks = 0

    def step(self, gains: Floats) -> Floats:
        """Takes the gains of one look, (tests, SIDES, stakes); gives the e-values, (tests, SIDES)."""
        if self._looks % self._betting.begins_every == 0:
            self._begin()
        self._worth += gains
        self._looks += 1
        e_values = sum((bet.money * self._value(bet) for bet in self._bets), self._ended)
        self._end_the_old()
        return e_values

    def looks_since_change(self, test: int, side: int) -> int:
        """Looks since the bet that won most began: a guess of when the change was."""
        if not self._bets:
            return self._looks
        best = max(self._bets, key=lambda bet: float(self._value(bet)[test, side]))
        return self._looks - best.look

    def _begin(self) -> None:
        planned = self._planned_starts
        if self._starts >= planned and self._betting.ends_after is None:
            return
        fading = min(1.0, (planned / (self._starts + 1)) ** 4)  # the sum beyond the plan is at most planned / 3
        self._bets.append(_Bet(self._looks, _PLANNED_SHARE / planned * fading, self._worth.copy()))
        self._starts += 1

    def _value(self, bet: _Bet) -> Floats:
        return np.asarray(np.exp(np.minimum(self._worth - bet.worth_at_start, 600.0)).mean(axis=-1))

    def _end_the_old(self) -> None:
        last = self._betting.ends_after
        while last is not None and self._bets and self._looks - self._bets[0].look >= last:
            bet = self._bets.pop(0)
            self._ended = self._ended + bet.money * self._value(bet)
