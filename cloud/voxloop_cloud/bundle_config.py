"""The text of bundle.toml: what a model is called, what it expects, and where it comes from."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_cloud.features import FeatureConfig
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_proto.audio import PaddingPolicy

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Names of bundles, and of their folders in the store: no path can be made of one."""


class ChunkConfig(BaseModel):
    """How the features are cut into the model's windows; equal to the ONNX file's metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_frames: int = Field(ge=1, le=4096, description="feature frames that one step sees")
    shift_frames: int = Field(ge=1, le=4096, description="feature frames from one step to the next")
    subsampling_factor: int = Field(ge=1, le=64, description="feature frames for one frame of log-probabilities")
    look_ahead_ms: float = Field(ge=0, le=10_000, description="most sound after an instant that its text waits for")

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> Self:
        if self.shift_frames > self.window_frames:
            raise ValueError(f"shift_frames {self.shift_frames} is more than window_frames {self.window_frames}")
        if self.shift_frames % self.subsampling_factor:
            raise ValueError(
                f"shift_frames {self.shift_frames} is no multiple of subsampling_factor {self.subsampling_factor}"
            )
        return self

    def steps_for(self, frames: int) -> int:
        """Steps of a segment: as many as it takes for each of its frames to be among the first shift_frames of one."""
        return -(-frames // self.shift_frames)

    def frames_for(self, steps: int) -> int:
        """Feature frames that so many steps see."""
        return (steps - 1) * self.shift_frames + self.window_frames if steps else 0


class NormalizationConfig(BaseModel):
    """The level of the training data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_dbfs: float = Field(ge=-60, le=0, description="RMS level of speech, in dB relative to full scale")


class ModelConfig(BaseModel):
    """Facts about the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int = Field(ge=0, description="number of weights")
    quantization: str = Field(description="none, or how weights are stored, for instance int8-dynamic")


class ProvenanceConfig(BaseModel):
    """Where the model comes from; empty where it isn't known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code_commit: str = Field("", description="commit of the training code")
    data_manifest_sha256: str = Field("", description="checksum of the training data's manifest")
    hours_seen: float = Field(0, ge=0, description="hours of sound that training went through, repeats included")
    seed: int = Field(0, description="of the training run")
    machine: str = Field("", description="what it was trained on, in words")
    created: str = Field("", description="when it was exported, ISO 8601")
    parent: str = Field("", description="name and version of the model that it began as")


class BundleConfig(BaseModel):
    """bundle.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = Field(description="the one format of this version")
    name: str = Field(pattern=NAME_PATTERN, description="letters, digits, '.', '_', '-'; at most 64")
    version: str = Field(pattern=NAME_PATTERN, description="letters, digits, '.', '_', '-'; at most 64")
    language: str = Field(min_length=2, max_length=35, description="BCP 47, for instance en")
    tokens: Literal["characters", "bpe", "phones"] = Field(description="what the model writes; phones need a graph")
    features: FeatureConfig
    chunk: ChunkConfig
    padding: PaddingPolicy
    normalization: NormalizationConfig
    model: ModelConfig
    provenance: ProvenanceConfig
    decoder: DecoderConfig = Field(default_factory=DecoderConfig)
    credits: dict[str, str] = Field(default_factory=dict, description="data set or part: its licence and makers")

    @property
    def frame_ms(self) -> float:
        """Time from one frame of log-probabilities to the next, in ms."""
        return self.chunk.subsampling_factor * self.features.frame_shift_ms
