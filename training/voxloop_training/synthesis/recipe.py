"""What to synthesise, as a TOML file."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from voxloop_training.recipe_file import read_recipe
from voxloop_training.synthesis.voices import TEST_PERSONS, VOICES

Split = Literal["train", "dev", "test"]
Kind = Literal["queries", "everyday", "books", "digits", "words"]


class VoiceShare(BaseModel):
    """One voice and how much it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voice: str = Field(description="engine/name, one of voices.py")
    minutes: float = Field(gt=0, description="speech to make")
    split: Split = Field("train", description="train, dev or test; dev and test say held-out sentences only")

    @field_validator("voice")
    @classmethod
    def _is_known(cls, voice: str) -> str:
        if voice not in VOICES:
            raise ValueError(f"no such voice; there are {', '.join(VOICES)}")
        return voice

    @model_validator(mode="after")
    def _test_persons_are_only_tested_on(self) -> "VoiceShare":
        if VOICES[self.voice].person in TEST_PERSONS and self.split != "test":
            raise ValueError(f'{self.voice} is kept for tests; give it split = "test", or choose another voice')
        return self


class SynthesisRecipe(BaseModel):
    """A set of synthetic speech."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(1, ge=0, description="all chance comes from it")
    voices: tuple[VoiceShare, ...] = Field(min_length=1)
    texts: dict[Kind, float] = Field({"queries": 1.0}, description="share of the clips of each kind of text, in train")
    pace_ratio: tuple[float, float] = Field((0.85, 1.2), description="range of the pace; 1 is the voice's own")
    size_ratio: tuple[float, float] = Field((0.88, 1.18), description="range of the speaker's size; above 1: higher")

    @model_validator(mode="after")
    def _persons_stay_in_one_split(self) -> "SynthesisRecipe":
        split_of: dict[str, str] = {}
        for share in self.voices:
            person = VOICES[share.voice].person
            if split_of.setdefault(person, share.split) != share.split:
                raise ValueError(f"{share.voice} is {person}, who is in {split_of[person]} already; keep splits apart")
        return self


def load_synthesis(path: Path) -> SynthesisRecipe:
    """Read a recipe; raises ConfigError that names each field at fault."""
    return read_recipe(path, SynthesisRecipe)
