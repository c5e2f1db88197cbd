"""Speed perturbation (Ko et al., 2015): tempo and pitch move together."""

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torchaudio.functional import resample

from voxloop_proto.audio import Pcm


class SpeedConfig(BaseModel):
    """Which speeds are drawn, all equally likely."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    percents: tuple[int, ...] = Field((90, 100, 110), description="speeds in percent of the original, 50 to 200")


class Speed:
    """Plays a clip faster or slower."""

    def __init__(self, config: SpeedConfig) -> None:
        self._percents = config.percents

    def __call__(self, samples: Pcm, rng: np.random.Generator) -> Pcm:
        percent = int(rng.choice(self._percents))
        if percent == 100:
            return samples
        moved = resample(torch.from_numpy(samples), percent, 100)
        return np.asarray(moved.numpy(), dtype=np.float32)
