"""What a gambler makes of values who bets that their mean lies above a given one.

Grid Kelly of Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B, 2024). If each
value u in [0, 1], given all before it, has a mean of at most m, then staking a fraction f of the capital multiplies it
by 1 + f (u / m - 1), which on average gains nothing; so (Ville) it ever grows by 1 / alpha with a probability of at
most alpha. Whoever looks after each value errs no more often than who looks once. The capital is spread over a grid of
fractions, since nobody knows the best one.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

FRACTIONS: Final = np.geomspace(0.01, 0.9, 10)
"""Staked on each value, (J,). The grid costs a factor of J at most; a mean that lies close by needs the small ones."""

_BLOCK_VALUES: Final = 64
"""Values at a time, so that what is computed on the way stays small."""

Values = npt.NDArray[np.float64]


class Capital:
    """The logarithm of the capital against each of M means; 0 at the start."""

    def __init__(self, means: Values) -> None:
        """means: (M,) in (0, 1)."""
        self._means = means
        self._log_by_fraction = np.zeros((len(means), len(FRACTIONS)))
        self._highest = np.zeros(len(means))
        self._count = 0

    def bet(self, values: Values) -> None:
        """Takes values, (N,) in [0, 1], one after the other."""
        self._count += len(values)
        for start in range(0, len(values), _BLOCK_VALUES):
            paths = self._log_by_fraction + np.cumsum(self._log_gains(values[start : start + _BLOCK_VALUES]), axis=0)
            self._highest = np.maximum(self._highest, _spread(paths).max(axis=0))
            self._log_by_fraction = paths[-1]

    @property
    def highest(self) -> Values:
        """The most that the log capital ever was, (M,)."""
        return self._highest

    def values_to(self, log_goal: float, index: int) -> int | None:
        """How many values more until the capital against a mean is exp(log_goal), if they go on as so far.

        None if capital did not grow with them.
        """
        best = float(self._log_by_fraction[index].max())
        if best <= 0.0:
            return None
        left = log_goal + math.log(len(FRACTIONS)) - best
        return max(1, math.ceil(left * self._count / best))

    def _log_gains(self, values: Values) -> Values:
        """(N,) to (N, M, J)."""
        surprise = values[:, None] / self._means - 1.0
        gains: Values = np.log(1.0 + surprise[:, :, None] * FRACTIONS)
        return gains


def _spread(log_capital: Values) -> Values:
    """Of capital that is spread evenly over the fractions, (..., J) to (...)."""
    most = log_capital.max(axis=-1)
    together: Values = most + np.log(np.exp(log_capital - most[..., None]).mean(axis=-1))
    return together
