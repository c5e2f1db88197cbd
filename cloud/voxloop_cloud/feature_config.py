"""How sound becomes features: a bundle's [features]."""

from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_proto.audio import SAMPLE_RATE_HZ


class FeatureConfig(BaseModel):
    """How sound becomes features; the same in training and serving: a bundle's [features].

    The defaults are those of k2, lhotse and sherpa-onnx. sherpa-onnx gives NeMo's features to models of NeMo's layout,
    whatever they were trained with: kind nemo-fbank, 0 to 8000 Hz, window hann, and log_guard add only where it
    normalizes (docs/models.md). `sherpa_layout` gives a bundle that has Kaldi's the layout in which it gets them there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["kaldi-fbank", "nemo-fbank"] = Field(
        "kaldi-fbank",
        description="kaldi-fbank: HTK mel scale, each frame's mean removed; nemo-fbank: Slaney mel scale, mean kept",
    )
    sample_rate_hz: Literal[16_000] = Field(16_000, description="the one rate of this version")
    mel_bins: int = Field(80, ge=8, le=256, description="mel filters, 8 to 256")
    low_hz: float = Field(20, ge=0, description="lower edge of the lowest filter, in Hz")
    high_hz: float = Field(7600, le=SAMPLE_RATE_HZ / 2, description="upper edge of the highest filter, in Hz")
    frame_length_ms: float = Field(25, ge=5, le=100, description="sound in one frame, in ms")
    frame_shift_ms: float = Field(10, ge=5, le=50, description="from one frame to the next, in ms")
    window: Literal["povey", "hann", "hanning", "hamming"] = Field(
        "povey", description="povey, hann (periodic), hanning (symmetric Hann, NeMo's own) or hamming"
    )
    preemphasis: float = Field(0.97, ge=0, lt=1, description="pre-emphasis coefficient, 0 to 1")
    log_guard: Literal["floor", "add"] = Field(
        "floor", description="floor: log(max(power, 2^-23)), Kaldi's; add: log(power + 2^-24), NeMo's own"
    )
    normalization: Literal["none", "per-feature"] = Field(
        "none",
        description="per-feature: each mel bin has mean 0 and deviation 1 over the segment, which must be whole first",
    )
    snip_edges: Literal[False] = Field(False, description="false: frame k is centred at (k + 1/2) shifts")

    @model_validator(mode="after")
    def _edges_in_order(self) -> Self:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz is {self.low_hz}, high_hz is {self.high_hz}; low_hz must be the lower one")
        return self

    @cached_property
    def shift_samples(self) -> int:
        """Samples from one frame to the next."""
        return self._whole_samples(self.frame_shift_ms)

    @cached_property
    def length_samples(self) -> int:
        """Samples in one frame."""
        return self._whole_samples(self.frame_length_ms)

    def frames_in(self, samples: int) -> int:
        """Frames whose centre lies within so many samples: Kaldi's count of a clip with snip_edges false."""
        return (samples + self.shift_samples // 2) // self.shift_samples

    def frames_within(self, samples: int) -> int:
        """Frames that end within so many samples: those that are ready without looking past the end."""
        return max(0, (samples - self.samples_for(1)) // self.shift_samples + 1)

    def first_sample_of(self, frame: int) -> int:
        """Where a frame starts; below 0 it is the sound's start mirrored."""
        return frame * self.shift_samples + self.shift_samples // 2 - self.length_samples // 2

    def samples_for(self, frames: int) -> int:
        """Samples after which so many frames are ready without looking past the end."""
        return self.first_sample_of(frames - 1) + self.length_samples if frames else 0

    def _whole_samples(self, duration_ms: float) -> int:
        """As Kaldi has it, what is left of a sample is left off."""
        return int(duration_ms * self.sample_rate_hz / 1000)
