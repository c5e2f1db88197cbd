"""Reverberation of a made-up room."""

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torchaudio.functional import fftconvolve

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm


class RoomConfig(BaseModel):
    """How often, how long and how strong a room rings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: float = Field(0.3, ge=0, le=1, description="share of clips, 0 to 1")
    decay_ms: tuple[float, float] = Field(
        (100.0, 600.0), description="range of the time to fall by 60 dB, milliseconds"
    )
    direct_db: tuple[float, float] = Field((0.0, 15.0), description="range of direct over reverberant energy, dB")


class Room:
    """Convolves with exponentially decaying noise behind a direct impulse; the length stays."""

    def __init__(self, config: RoomConfig) -> None:
        self._config = config

    def __call__(self, samples: Pcm, rng: np.random.Generator) -> Pcm:
        if rng.random() >= self._config.probability:
            return samples
        wet = fftconvolve(torch.from_numpy(samples), torch.from_numpy(self._impulse(rng)))
        return np.asarray(wet.numpy()[: len(samples)], dtype=np.float32)

    def _impulse(self, rng: np.random.Generator) -> Pcm:
        decay_samples = int(rng.uniform(*self._config.decay_ms) * SAMPLE_RATE_HZ / 1000)
        envelope = 10.0 ** (-3.0 * np.arange(decay_samples) / decay_samples)
        tail = rng.standard_normal(decay_samples) * envelope
        tail *= 10.0 ** (-rng.uniform(*self._config.direct_db) / 20.0) / np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        return tail.astype(np.float32)
