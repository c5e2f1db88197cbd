"""The shape that every augmentation has."""

from typing import Protocol

import numpy as np

from voxloop_proto.audio import Pcm


class AugmentationStep(Protocol):
    """Changes a clip at random; all chance comes from `rng`, so that a step of training can be repeated."""

    def __call__(self, samples: Pcm, rng: np.random.Generator) -> Pcm: ...
