"""Background noise at a chosen distance below the speech."""

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.audio import SILENCE_DBFS, Pcm, level_dbfs


class NoiseConfig(BaseModel):
    """How often and how loud noise is added."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: float = Field(0.5, ge=0, le=1, description="share of clips, 0 to 1")
    snr_db: tuple[float, float] = Field((3.0, 30.0), description="range of speech over noise, dB")
    synthetic_ratio: float = Field(0.3, ge=0, le=1, description="share of the noises that are coloured noise, 0 to 1")


class Noise:
    """Adds a recorded noise, repeated to length from a random place, or coloured noise."""

    def __init__(self, config: NoiseConfig, clip_ids: Sequence[str], load: Callable[[str], Pcm]) -> None:
        self._config = config
        self._clip_ids = list(clip_ids)
        self._load = load

    def __call__(self, samples: Pcm, rng: np.random.Generator) -> Pcm:
        if rng.random() >= self._config.probability:
            return samples
        noise = self._draw(len(samples), rng)
        gain_db = level_dbfs(samples) - level_dbfs(noise) - rng.uniform(*self._config.snr_db)
        if level_dbfs(noise) <= SILENCE_DBFS:
            return samples
        return np.asarray(samples + np.float32(10.0 ** (gain_db / 20.0)) * noise, dtype=np.float32)

    def _draw(self, length_samples: int, rng: np.random.Generator) -> Pcm:
        if not self._clip_ids or rng.random() < self._config.synthetic_ratio:
            return coloured_noise(length_samples, float(rng.uniform(0.0, 1.0)), rng)
        clip = self._load(self._clip_ids[int(rng.integers(len(self._clip_ids)))])
        start = int(rng.integers(len(clip)))
        return np.resize(np.roll(clip, -start), length_samples)


def coloured_noise(length_samples: int, slope: float, rng: np.random.Generator) -> Pcm:
    """(N,) noise whose amplitude falls as frequency ** -slope: 0 is white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length_samples))
    spectrum *= np.maximum(1.0, np.arange(len(spectrum))) ** -slope
    return np.fft.irfft(spectrum, n=length_samples).astype(np.float32)
