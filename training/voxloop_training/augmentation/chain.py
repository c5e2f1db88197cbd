"""All augmentations of a waveform, in the order in which the world applies them."""

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.audio import Pcm
from voxloop_training.augmentation.codec import Codec, CodecConfig
from voxloop_training.augmentation.level import Level, LevelConfig
from voxloop_training.augmentation.noise import Noise, NoiseConfig
from voxloop_training.augmentation.room import Room, RoomConfig
from voxloop_training.augmentation.silence import Silence, SilenceConfig
from voxloop_training.augmentation.spec_augment import SpecAugmentConfig
from voxloop_training.augmentation.speed import Speed, SpeedConfig
from voxloop_training.augmentation.step import AugmentationStep


class AugmentationConfig(BaseModel):
    """One part per augmentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed: SpeedConfig = Field(default_factory=SpeedConfig)
    silence: SilenceConfig = Field(default_factory=SilenceConfig)
    room: RoomConfig = Field(default_factory=RoomConfig)
    noise: NoiseConfig = Field(default_factory=NoiseConfig)
    codec: CodecConfig = Field(default_factory=CodecConfig)
    level: LevelConfig = Field(default_factory=LevelConfig)
    spec_augment: SpecAugmentConfig = Field(default_factory=SpecAugmentConfig)


class Augmenter:
    """Speed, silence, room, noise, codec, level: speaker first, converter last."""

    def __init__(self, config: AugmentationConfig, noise_ids: Sequence[str], load: Callable[[str], Pcm]) -> None:
        self.set_level = Level(config.level)
        self._steps: tuple[AugmentationStep, ...] = (
            Speed(config.speed),
            Silence(config.silence),
            Room(config.room),
            Noise(config.noise, noise_ids, load),
            Codec(config.codec),
            self.set_level,
        )

    def __call__(self, samples: Pcm, rng: np.random.Generator) -> Pcm:
        for step in self._steps:
            samples = step(samples, rng)
        return samples
