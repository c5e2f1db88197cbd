"""The silence that a device leaves before and after speech."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.audio import SAMPLES_PER_MS, Pcm


class SilenceConfig(BaseModel):
    """How much silence is drawn, evenly, for each end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_ms: int = Field(600, ge=0, le=3000, description="most silence added to one end, milliseconds")
    floor_dbfs: tuple[float, float] = Field((-80.0, -50.0), description="range of the level of its faint noise, dBFS")


class Silence:
    """Adds faintly noisy silence to both ends."""

    def __init__(self, config: SilenceConfig) -> None:
        self._config = config

    def __call__(self, samples: Pcm, rng: np.random.Generator) -> Pcm:
        before, after = rng.integers(0, self._config.longest_ms * SAMPLES_PER_MS + 1, size=2)
        padded = np.pad(samples, (int(before), int(after)))
        floor = np.float32(10.0 ** (rng.uniform(*self._config.floor_dbfs) / 20.0))
        padded += floor * rng.standard_normal(len(padded), dtype=np.float32)
        return padded
