"""What the features of one segment are like, gathered as its windows pass: for drift, and to tell who says it again."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from voxloop_cloud.filterbank import Features

SLICE_FRAMES: Final = 8
BANDS: Final = 20
MOST_SLICES: Final = 250
"""Of a sketch: 20 s of sound; whoever says something again says something shorter."""

Sketch = npt.NDArray[np.float32]
"""Log-mel energies, each the mean of a time slice and a band: (S, BANDS) float32, S at most MOST_SLICES."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSummary:
    """The features of a whole segment. mean, deviation: over all frames and bins, of what the recognizer heard."""

    frames: int
    mean: float
    deviation: float
    sketch: Sketch


class FeatureStatistics:
    """Adds up the features of one segment: two passes of numpy over each window, of which nothing else is kept."""

    def __init__(self) -> None:
        self._frames = 0
        self._squares = 0.0
        self._slices: list[Features] = []  # sums
        self._slice_frames: list[int] = []

    def add(self, frames: Features) -> None:
        """Takes the next frames, (T, mel_bins) float32, contiguous; none of them twice."""
        count = len(frames)
        if not count:
            return
        starts = np.arange(0, count, SLICE_FRAMES)
        self._frames += count
        self._squares += float(np.vdot(frames, frames))
        self._slices.append(np.add.reduceat(frames, starts))
        self._slice_frames += [SLICE_FRAMES] * (len(starts) - 1) + [count - SLICE_FRAMES * (len(starts) - 1)]

    def summary(self) -> FeatureSummary | None:
        """What was added so far; None if it was nothing."""
        if not self._frames:
            return None
        sums = np.concatenate(self._slices)
        values = self._frames * sums.shape[1]
        mean = float(sums.sum(dtype=np.float64)) / values
        deviation = max(0.0, self._squares / values - mean * mean) ** 0.5
        return FeatureSummary(self._frames, mean, deviation, self._sketch(sums[:MOST_SLICES]))

    def _sketch(self, sums: Features) -> Sketch:
        starts, widths = _bands(sums.shape[1])
        frames = np.array(self._slice_frames[: len(sums)])
        sketch: Sketch = (np.add.reduceat(sums, starts, axis=1) / widths / frames[:, None]).astype(np.float32)
        return sketch


@lru_cache
def _bands(bins: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The first bin of each band, and how many it has."""
    starts = np.arange(BANDS) * bins // BANDS
    return starts, np.diff(starts, append=bins)
