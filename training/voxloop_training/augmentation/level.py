"""The level at which speech arrives."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.audio import Pcm, level_dbfs


class LevelConfig(BaseModel):
    """Where the level lands: around what the device's normaliser aims at, but not always."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_dbfs: float = Field(-23.0, ge=-60, le=0, description="what the device's normaliser aims at, dBFS")
    spread_db: float = Field(6.0, ge=0, le=20, description="standard deviation around the target, dB")


class Level:
    """Sets a random level; what goes past full scale is clipped, as a converter does."""

    def __init__(self, config: LevelConfig) -> None:
        self._config = config

    def __call__(self, samples: Pcm, rng: np.random.Generator) -> Pcm:
        wanted_dbfs = self._config.target_dbfs + self._config.spread_db * rng.standard_normal()
        gain = np.float32(10.0 ** ((wanted_dbfs - level_dbfs(samples)) / 20.0))
        return np.asarray(np.clip(samples * gain, -1.0, 1.0), dtype=np.float32)
