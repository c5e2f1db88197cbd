"""Whether a word's confidence is the share of such words that are right."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

BINS: Final = 10


class ConfidenceBin(BaseModel):
    """Heard words of like confidence: how many, their mean confidence, and the share that is right."""

    model_config = ConfigDict(frozen=True)

    words: int
    confidence: float
    right_ratio: float


class Calibration(BaseModel):
    """Of all heard words. error: the mean distance of confidence and share right, each bin by its words (ECE)."""

    model_config = ConfigDict(frozen=True)

    words: int
    error: float
    bins: list[ConfidenceBin]


def calibrate(judged: Iterable[tuple[float, bool]]) -> Calibration | None:
    """judged: each heard word's confidence, 0 to 1, and whether it is right. None if no word was heard."""
    pairs = np.array(list(judged), np.float64).reshape(-1, 2)
    if not len(pairs):
        return None
    number = np.clip((pairs[:, 0] * BINS).astype(int), 0, BINS - 1)
    bins = [_bin(pairs[number == each]) for each in range(BINS) if np.any(number == each)]
    distance = sum(each.words * abs(each.confidence - each.right_ratio) for each in bins)
    return Calibration(words=len(pairs), error=round(distance / len(pairs), 5), bins=bins)


def _bin(pairs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> ConfidenceBin:
    confidence, right_ratio = pairs.mean(axis=0).tolist()
    return ConfidenceBin(words=len(pairs), confidence=round(confidence, 5), right_ratio=round(right_ratio, 5))
