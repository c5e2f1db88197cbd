"""Thresholds from history: where a rule's figure has been, and how often the rule would have fired."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from voxloop_cloud.alarms.events import Fired
from voxloop_cloud.alarms.past import STEP_S, PastFigures
from voxloop_cloud.alarms.phase import UNSEEN, Phase, step
from voxloop_cloud.alarms.rule import Rule

WEEK_S: Final = 7 * 86_400.0
QUANTILES: Final = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)
"""Of the past figures, from the good side on: the candidates."""

_DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A threshold, the quantile of past figures that it is, and how often it would have fired."""

    threshold: float
    quantile: float
    alarms_per_week: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a rule's history says of its threshold. windows: past evaluations that had data."""

    rule: Rule
    weeks: float
    windows: int
    present_alarms_per_week: float
    candidates: tuple[Candidate, ...]
    chosen: Candidate


def suggest(rule: Rule, past: Sequence[PastFigures], most_per_week: float) -> Suggestion | None:
    """The tightest threshold that would have fired at most so often, over all slices; None without any data.

    Every candidate is run through the rule's own phases, so that `for_s`, hysteresis and missing data count.
    """
    figures = np.concatenate([each.figures for each in past]) if past else np.empty(0)
    figures = figures[~np.isnan(figures)]
    if not figures.size:
        return None
    weeks = past[0].at_s.size * STEP_S / WEEK_S
    candidates = tuple(
        Candidate(threshold, quantile, alarms(rule.at(threshold), past) / weeks)
        for quantile, threshold in _thresholds(rule, figures)
    )
    chosen = next((each for each in candidates if each.alarms_per_week <= most_per_week), candidates[-1])
    return Suggestion(rule, weeks, figures.size, alarms(rule, past) / weeks, candidates, chosen)


def alarms(rule: Rule, past: Iterable[PastFigures]) -> int:
    """How often the rule would have fired."""
    return sum(_alarms_of_slice(rule, each) for each in past)


def _alarms_of_slice(rule: Rule, past: PastFigures) -> int:
    phase: Phase = UNSEEN
    fired = 0
    for at_s, figure in zip(past.at_s.tolist(), past.figures.tolist(), strict=True):
        phase, events = step(rule, past.labels, phase, None if math.isnan(figure) else figure, at_s)
        fired += sum(isinstance(event, Fired) for event in events)
    return fired


def _thresholds(rule: Rule, figures: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    """Quantiles and thresholds, each threshold once, the tightest first; rounded away from the good side."""
    is_above = rule.comparison == "above"
    found: dict[float, float] = {}
    for quantile in QUANTILES:
        value = float(np.quantile(figures, quantile if is_above else 1.0 - quantile))
        found.setdefault(_rounded(value, math.ceil if is_above else math.floor), quantile)
    return [(quantile, threshold) for threshold, quantile in found.items()]


def _rounded(value: float, towards: Callable[[float], int]) -> float:
    if value == 0.0:
        return 0.0
    digits = _DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(towards(round(value * 10.0**digits, 9)) / 10.0**digits, max(digits, 0))
