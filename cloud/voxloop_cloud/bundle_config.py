"""The text of bundle.toml: what a model is called, what it expects, and where it comes from."""

from typing import Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_cloud.feature_config import FeatureConfig
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

    def padded_frames(self, segment_frames: int) -> int | None:
        """Frames that silence fills a segment up to; None for no silence."""
        return self.frames_for(self.steps_for(segment_frames))

    def frames_of(self, step: int, segment_frames: int | None) -> range | None:
        """The frames that a step sees, None if there is none to see. segment_frames: None while the segment goes on."""
        if segment_frames is not None and step >= self.steps_for(segment_frames):
            return None
        return range(step * self.shift_frames, step * self.shift_frames + self.window_frames)

    def outputs_of(self, frames: int) -> int:
        """Frames of log-probabilities that a window of so many feature frames gives."""
        return (frames - self.window_frames + self.shift_frames) // self.subsampling_factor


class WholeConfig(BaseModel):
    """How an offline model's features are cut: not at all. It sees a segment once, from its first frame to its last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subsampling_factor: int = Field(ge=1, le=64, description="feature frames for one frame of log-probabilities")

    @property
    def look_ahead_ms(self) -> float:
        """None that can be named: the text waits for the segment's end."""
        return 0.0

    def padded_frames(self, _segment_frames: int) -> int | None:
        """Frames that silence fills a segment up to; None for no silence."""
        return None

    def frames_of(self, step: int, segment_frames: int | None) -> range | None:
        """The frames that a step sees, None if there is none to see. segment_frames: None while the segment goes on."""
        return range(segment_frames) if segment_frames and step == 0 and self.outputs_of(segment_frames) else None

    def outputs_of(self, frames: int) -> int:
        """Frames of log-probabilities that so many feature frames give. As in sherpa-onnx, what a model adds for a
        remainder is left off."""
        return frames // self.subsampling_factor


class NormalizationConfig(BaseModel):
    """The level of the training data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_dbfs: float = Field(ge=-60, le=0, description="RMS level of speech, in dB relative to full scale")


class ModelConfig(BaseModel):
    """Facts about the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int = Field(ge=0, description="number of weights; 0 where it isn't known")
    quantization: str = Field(
        description="none, nbits (MatMulNBits), int8-static, int8-dynamic, or else; the first three go in batches"
    )


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
    chunk: ChunkConfig | None = Field(None, description="of a streaming model")
    whole: WholeConfig | None = Field(None, description="of an offline model, which hears a segment once it is over")
    padding: PaddingPolicy
    normalization: NormalizationConfig
    model: ModelConfig
    provenance: ProvenanceConfig
    decoder: DecoderConfig = Field(default_factory=DecoderConfig)
    licence: str = Field("", description="of the weights, in words; empty where it isn't known")
    credits: dict[str, str] = Field(default_factory=dict, description="data set or part: its licence and makers")

    @model_validator(mode="after")
    def _streaming_or_offline(self) -> Self:
        if (self.chunk is None) == (self.whole is None):
            found = "neither" if self.chunk is None else "both"
            raise ValueError(
                f"has {found} of [chunk], of a streaming model, and [whole], of an offline one; allowed is one"
            )
        if self.chunk and self.features.normalization != "none":
            raise ValueError(
                f"features.normalization is {self.features.normalization!r} in a streaming model, which would have to "
                "wait for the segment's end; allowed is 'none'"
            )
        return self

    def to_toml(self) -> str:
        """The text of bundle.toml; [decoder] only where it says something."""
        untouched = {"decoder"} if self.decoder == DecoderConfig() and self.tokens != "phones" else set()
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True, exclude=untouched))

    @property
    def windows(self) -> ChunkConfig | WholeConfig:
        """How the features are cut: in overlapping chunks, or not at all."""
        windows = self.chunk or self.whole
        assert windows is not None, "validated above"
        return windows

    @property
    def kind(self) -> Literal["streaming", "offline"]:
        """Whether text comes while someone speaks, or once they are silent."""
        return "streaming" if self.chunk else "offline"

    @property
    def frame_ms(self) -> float:
        """Time from one frame of log-probabilities to the next, in ms."""
        return self.windows.subsampling_factor * self.features.frame_shift_ms
