"""How far two samples of one metric are apart, whatever their sizes: an effect, not a significance."""

from typing import Final

import numpy as np

from voxloop_cloud.drift.utterances import Floats

PSI_BINS: Final = 10
_EMPTY_SHARE: Final = 1e-3
"""What an empty bin counts as: without it one utterance in a bin that was empty would be an infinite distance."""


def ks(before: Floats, after: Floats) -> float:
    """Kolmogorov and Smirnov's: the greatest difference of the two distribution functions, 0 to 1."""
    return float(np.abs(_steps(before, after)[1]).max())


def wasserstein(before: Floats, after: Floats, deviation: float) -> float:
    """Mean way that a value has to go from one sample to the other, in units of `deviation`."""
    points, differences = _steps(before, after)
    return float(np.sum(np.abs(differences[:-1]) * np.diff(points))) / deviation


def psi(before: Floats, after: Floats) -> float:
    """Population stability index over the deciles of `before`; 0.1 is usually called small, 0.25 large."""
    edges = np.unique(np.quantile(before, np.linspace(0.0, 1.0, PSI_BINS + 1)[1:-1]))
    return psi_of_counts(_counts(before, edges), _counts(after, edges))


def psi_of_counts(before: Floats, after: Floats) -> float:
    """The same, of histograms with the same bins."""
    shares = [np.maximum(counts / counts.sum(), _EMPTY_SHARE) for counts in (before, after)]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def _steps(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """All values in order, and after each the share of `after` up to it less that of `before`."""
    points = np.sort(np.concatenate((before, after)))
    shares = [np.searchsorted(np.sort(sample), points, side="right") / len(sample) for sample in (before, after)]
    return points, shares[1] - shares[0]


def _counts(sample: Floats, inner_edges: Floats) -> Floats:
    return np.bincount(np.searchsorted(inner_edges, sample, side="right"), minlength=len(inner_edges) + 1).astype(float)
