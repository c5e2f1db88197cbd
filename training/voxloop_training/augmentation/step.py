"""The shape that every augmentation has."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""(N,) float32 in [-1, 1] at 16 kHz."""


class AugmentationStep(Protocol):
    """Changes a clip at random; all chance comes from `rng`, so that a step of training can be repeated."""

    def __call__(self, samples: Samples, rng: np.random.Generator) -> Samples: ...


def level_dbfs(samples: Samples) -> float:
    """Root-mean-square level; digital silence is -120 dBFS."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return float(10.0 * np.log10(max(power, 1e-12)))
