"""Which phone follows two others: the small grammar that stands for all that could have been said instead."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_DISCOUNT: Final = 0.75
"""What is taken off each count and given to the shorter history; Ney et al. (1994) find 0.5 to 0.8."""

_Counts = npt.NDArray[np.float64]


def phone_trigram(sentences: Iterable[Sequence[int]], phones: int) -> Tensor:
    """P(next | two before), (N, N, N) float32 with N = phones + 1; the last entry of each axis is the sentence's edge.

    sentences: phone ids below `phones`. Absolute discounting, interpolated down to an even share, so that no phone is
    impossible anywhere.
    """
    edge, size = phones, phones + 1
    trigrams = np.zeros((size, size, size))
    for sentence in sentences:
        padded = [edge, edge, *sentence, edge]
        np.add.at(trigrams, (padded[:-2], padded[1:-1], padded[2:]), 1.0)
    lower = np.full(size, 1.0 / size)
    for counts in (trigrams.sum(axis=(0, 1)), trigrams.sum(axis=0), trigrams):
        lower = _interpolate(counts, lower)
    return torch.from_numpy(lower.astype(np.float32))


def _interpolate(counts: _Counts, lower: _Counts) -> _Counts:
    """Shares along the last axis; what is discounted goes to `lower`, and all of it where nothing was counted."""
    total = counts.sum(axis=-1, keepdims=True)
    spread = _DISCOUNT * np.count_nonzero(counts, axis=-1, keepdims=True)
    kept = np.maximum(counts - _DISCOUNT, 0.0) + spread * lower
    return np.where(total > 0, kept / np.maximum(total, 1.0), lower)


def log_probability(trigram: Tensor, sentence: Sequence[int]) -> float:
    """ln P(sentence), its end included."""
    edge = trigram.shape[0] - 1
    padded = torch.tensor([edge, edge, *sentence, edge])
    return float(trigram[padded[:-2], padded[1:-1], padded[2:]].log().sum())
