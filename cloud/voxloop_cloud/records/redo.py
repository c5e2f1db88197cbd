"""Whether somebody has said the same again: how likely it is that one utterance repeats the one before it.

Pure. The weights are those of a logistic regression on pairs of real recordings (scripts/measure_redo, docs/store.md).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from voxloop_cloud.feature_statistics import Sketch

LONGEST_GAP_S: Final = 20.0
"""Whoever repeats, does so at once. A judgement: no recordings of people who repeat themselves are there to measure."""

REDO_THRESHOLD: Final = 0.28
"""The probability from which an utterance counts as redone: the best F1 on dev speakers, one pair in ten a redo."""

SLICES: Final = 16
_HEARD_RATIO: Final = 0.3
"""Of the span from the softest slice to the loudest: what is softer at both ends is a pause."""

_BIAS: Final = -7.31
_WEIGHTS: Final = (7.4, 4.51, 3.28)

Outline = npt.NDArray[np.float32]
"""The shape of a spectrum over time, without what a slice or a band has in common: (SLICES, BANDS) float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What the detector needs of one utterance. Times are s on its session's clock; outline: None without frames."""

    text: str
    start_s: float
    end_s: float
    outline: Outline | None


def outline_of(sketch: Sketch) -> Outline:
    """What a sketch of any length sounds like, whatever its level, microphone, pace, and the pauses around it."""
    loudness = sketch.mean(axis=1)
    least, most = loudness.min(), loudness.max()
    (heard,) = np.nonzero(loudness >= least + _HEARD_RATIO * (most - least))
    shape = sketch[heard[0] : heard[-1] + 1]
    shape = shape - shape.mean(axis=1, keepdims=True)
    return _evenly(shape - shape.mean(axis=0))


def _evenly(shape: Sketch) -> Outline:
    """In SLICES slices, linear in time."""
    places = np.linspace(0.0, len(shape) - 1.0, SLICES)
    before = places.astype(int)
    after = np.minimum(before + 1, len(shape) - 1)
    share = (places - before)[:, None]
    outline: Outline = (shape[before] * (1.0 - share) + shape[after] * share).astype(np.float32)
    return outline


def redo_probability(first: Said, second: Said) -> float:
    """How likely it is, 0 to 1, that `second` says again what `first` said; they follow each other in a session."""
    if not 0.0 <= second.start_s - first.end_s <= LONGEST_GAP_S:
        return 0.0
    odds = _BIAS + math.fsum(weight * found for weight, found in zip(_WEIGHTS, likeness(first, second), strict=True))
    return 1.0 / (1.0 + math.exp(-odds))


def likeness(first: Said, second: Said) -> tuple[float, float, float]:
    """Of the texts, 0 to 1; 1 if one of the texts is empty and so says nothing; of the sounds, about 0 to 1."""
    is_silent = not (first.text and second.text)
    texts = 0.0 if is_silent else Levenshtein.normalized_similarity(first.text, second.text)
    return texts, float(is_silent), sound_likeness(first.outline, second.outline)


def sound_likeness(first: Outline | None, second: Outline | None) -> float:
    """How alike two outlines are where they fit best, by dynamic time warping (Sakoe and Chiba 1978): 1 if equal,
    about 0 if unrelated; 0 if one is missing."""
    if first is None or second is None:
        return 0.0
    powers = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)[None]
    distances = powers - 2.0 * (first @ second.T)
    apart, power = _cheapest_path(distances.tolist(), powers.tolist())
    return 1.0 - apart / power if power > 0.0 else 0.0


def _cheapest_path(distances: list[list[float]], powers: list[list[float]]) -> tuple[float, float]:
    """The sums of both along the path from corner to corner on which the distances' is least."""
    infinite = (math.inf, 0.0)
    above = [(0.0, 0.0)] + [infinite] * SLICES
    for row_distances, row_powers in zip(distances, powers, strict=True):
        row = [infinite]
        for column, (distance, power) in enumerate(zip(row_distances, row_powers, strict=True)):
            best = min(above[column], above[column + 1], row[column])
            row.append((best[0] + distance, best[1] + power))
        above = row
    return above[-1]
