"""What a phone model might say of a sentence: stands in for one where the graph is measured by itself."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from voxloop_cloud.decoder import LogProbs
from voxloop_training.lexicon import PHONES

_BLANK: Final = len(PHONES)
_VOWELS: Final = np.array([phone[0] in "AEIOU" for phone in PHONES])
_SURE: Final = 8.0
"""Logit of the blank between phones, of phones nowhere near."""
_ALIKE: Final = 1.5
"""What a phone of the same class as the one spoken has more than others."""
_SPREAD: Final = 1.5
_VARYING: Final = 2.5
"""Standard deviation of how clearly a phone is spoken."""
_FRAMES_PER_PHONE: Final = (3, 6)
_SILENT_FRAMES: Final = 15
_STRAY_RATIO: Final = 0.02
"""Frames of blank in which some phone is nearly heard."""


def simulated_frames(phones: Sequence[str], clarity: float, random: np.random.Generator) -> LogProbs:
    """Log-probabilities (T, 40) float32 at 20 ms: a spike of one or two frames for each phone, blanks between.

    clarity: mean logit of the phone that was spoken; the lower, the more are confused, missed or made up. About 9.4,
    7.6 and 6.5 give 10, 20 and 30 % of phone errors by the best path.
    """
    rows = [_between(random) for _ in range(_SILENT_FRAMES)]
    for phone in phones:
        spoken = PHONES.index(phone)
        spike = random.normal(0.0, _SPREAD, len(PHONES) + 1)
        spike[:_BLANK] += _ALIKE * (_VOWELS[spoken] == _VOWELS)
        spike[spoken] += random.normal(clarity, _VARYING) - _ALIKE
        spike[_BLANK] += 0.4 * clarity
        frames = int(random.integers(*_FRAMES_PER_PHONE))
        held = int(random.integers(1, 3))
        rows += [spike + random.normal(0.0, 0.3, spike.size) for _ in range(held)]
        rows += [_between(random) for _ in range(max(1, frames - held))]
    rows += [_between(random) for _ in range(_SILENT_FRAMES)]
    scores = np.stack(rows)
    return (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).astype(np.float32)


def _between(random: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    row = random.normal(0.0, 1.0, len(PHONES) + 1)
    row[_BLANK] += _SURE
    if random.random() < _STRAY_RATIO:
        row[random.integers(_BLANK)] += _SURE
    return row


def best_path(log_probs: LogProbs) -> list[str]:
    """Greedy CTC."""
    path = log_probs.argmax(axis=1)
    changed = np.concatenate(([True], path[1:] != path[:-1]))
    return [PHONES[phone] for phone in path[changed & (path != _BLANK)]]
