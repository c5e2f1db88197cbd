"""From which confidence on the model may answer alone: what each threshold costs on labelled utterances. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Judged:
    """An utterance that the model heard: its confidence, 0 to 1, and whether the text is the label's."""

    confidence: float
    is_right: bool


@dataclass(frozen=True, slots=True)
class Costs:
    """In any unit, the same for both. A person is taken to be always right."""

    wrong_answer: float
    review: float


@dataclass(frozen=True, slots=True)
class CostPoint:
    """What a threshold costs: shares of all utterances, and the cost of one on average.

    threshold: below this confidence a person answers; 0: never, above 1: always.
    """

    threshold: float
    reviewed_ratio: float
    wrong_ratio: float
    cost: float


ALWAYS_REVIEW = 1.01


def cost_curve(judged: Iterable[Judged], costs: Costs) -> list[CostPoint]:
    """A point for each threshold that makes a difference, rising. Raises ValueError without an utterance."""
    utterances = sorted(judged, key=lambda each: each.confidence)
    if not utterances:
        raise ValueError("no utterance; a threshold is picked on labelled ones")
    confidences = np.array([each.confidence for each in utterances])
    wrong_above = np.cumsum([not each.is_right for each in reversed(utterances)])[::-1]
    count = len(utterances)
    points = [_point(0.0, 0, int(wrong_above[0]), count, costs)]
    for threshold in _thresholds(confidences):
        reviewed = int(np.searchsorted(confidences, threshold, side="left"))
        wrong = int(wrong_above[reviewed]) if reviewed < count else 0
        points.append(_point(float(threshold), reviewed, wrong, count, costs))
    return points


def pick(points: Sequence[CostPoint]) -> CostPoint:
    """The cheapest; of equally cheap ones that with the fewest reviews."""
    return min(points, key=lambda point: (point.cost, point.threshold))


def at_shares(points: Sequence[CostPoint], shares: Sequence[float]) -> list[CostPoint]:
    """Of each share of reviews the point that comes closest from above: a table of the curve."""
    found = [next((point for point in points if point.reviewed_ratio >= share), points[-1]) for share in shares]
    return list(dict.fromkeys(found))


def _thresholds(confidences: npt.NDArray[np.float64]) -> list[float]:
    """Between any two confidences that differ, and above all."""
    values = np.unique(confidences)
    between = (values[1:] + values[:-1]) / 2
    return [*between.tolist(), ALWAYS_REVIEW]


def _point(threshold: float, reviewed: int, wrong: int, count: int, costs: Costs) -> CostPoint:
    cost = (reviewed * costs.review + wrong * costs.wrong_answer) / count
    return CostPoint(threshold, reviewed / count, wrong / count, cost)
