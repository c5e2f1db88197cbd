"""What the recognizer hears: Kaldi's or NeMo's log-mel filterbanks, computed as the sound arrives."""

from typing import Literal, Self

import kaldi_native_fbank as knf
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm

Features = npt.NDArray[np.float32]
"""Log-mel energies, shape (T, mel_bins) float32, natural logarithm of power."""

NEMO_LOG_GUARD = np.float32(2**-24)
"""What NeMo adds to a power before it takes the logarithm."""

_DEVIATION_GUARD = np.float32(1e-5)
"""What NeMo adds to a deviation before it divides by it."""


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

    @property
    def shift_samples(self) -> int:
        """Samples from one frame to the next."""
        return round(self.frame_shift_ms * self.sample_rate_hz / 1000)

    @property
    def length_samples(self) -> int:
        """Samples in one frame."""
        return round(self.frame_length_ms * self.sample_rate_hz / 1000)

    def frames_in(self, samples: int) -> int:
        """Frames whose centre lies within so many samples: Kaldi's count of a clip with snip_edges false."""
        return (samples + self.shift_samples // 2) // self.shift_samples

    def samples_for(self, frames: int) -> int:
        """Samples after which so many frames are ready without looking past the end."""
        if frames == 0:
            return 0
        first_sample = (frames - 1) * self.shift_samples + self.shift_samples // 2 - self.length_samples // 2
        return first_sample + self.length_samples


class FeatureStream:
    """The features of one segment. Frames before the last dropped one are gone, so memory stays bounded.

    Adds (frame_length + frame_shift) / 2 of latency after a frame's start: 17.5 ms.
    """

    def __init__(self, config: FeatureConfig) -> None:
        self._config = config
        self._fbank = knf.OnlineFbank(_options(config))
        self._samples = 0
        self._dropped_frames = 0
        self._padded = False

    @property
    def samples(self) -> int:
        """Samples pushed, the padding not counted."""
        return self._samples

    @property
    def frames_ready(self) -> int:
        """Frames that `window` may ask for, counted from the segment's start, dropped ones included."""
        return int(self._fbank.num_frames_ready)

    def push(self, pcm: Pcm) -> None:
        """Takes samples, (N,) float32 in [-1, 1], N of any size."""
        assert not self._padded, "push after finish"
        if pcm.size:
            self._samples += pcm.size
            # A list: pybind11 converts its floats in a third of the time that it takes for an array's.
            self._fbank.accept_waveform(self._config.sample_rate_hz, pcm.tolist())

    def finish(self, frames: int | None) -> None:
        """Ends the segment with digital silence, enough for so many frames in all.

        None: with nothing; what the last frames lack is the sound's end mirrored, as Kaldi has it for a clip.
        """
        self._padded = True
        if frames is None:
            self._fbank.input_finished()
            return
        missing = self._config.samples_for(frames) - self._samples
        if missing > 0:
            self._fbank.accept_waveform(self._config.sample_rate_hz, [0.0] * missing)

    def window(self, start: int, length: int) -> Features:
        """A copy of the frames from start on, (length, mel_bins) float32; they must be ready and not dropped."""
        assert self._dropped_frames <= start <= self.frames_ready - length, "frames are not there"
        out = np.empty((length, self._config.mel_bins), np.float32)
        for row in range(length):
            out[row] = self._fbank.get_frame(start + row)
        if self._config.log_guard == "add":
            np.log(out + NEMO_LOG_GUARD, out=out)
        return _per_feature(out) if self._config.normalization == "per-feature" else out

    def drop_before(self, frame: int) -> None:
        """Forgets the frames before this one."""
        self._fbank.pop(frame - self._dropped_frames)
        self._dropped_frames = frame


def _per_feature(features: Features) -> Features:
    """Each bin with mean 0 and deviation 1 over all frames. The deviation is the population's, as in sherpa-onnx; NeMo
    has the sample's, which is 0.5 % more in a second of sound."""
    normalized: Features = (features - features.mean(axis=0)) / (features.std(axis=0) + _DEVIATION_GUARD)
    return normalized


def _options(config: FeatureConfig) -> knf.FbankOptions:
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = config.sample_rate_hz
    options.frame_opts.frame_length_ms = config.frame_length_ms
    options.frame_opts.frame_shift_ms = config.frame_shift_ms
    options.frame_opts.window_type = config.window
    options.frame_opts.preemph_coeff = config.preemphasis
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = config.snip_edges
    options.frame_opts.remove_dc_offset = config.kind == "kaldi-fbank"
    options.use_log_fbank = config.log_guard == "floor"
    options.mel_opts.num_bins = config.mel_bins
    options.mel_opts.is_librosa = config.kind == "nemo-fbank"
    options.mel_opts.low_freq = config.low_hz
    options.mel_opts.high_freq = config.high_hz
    return options
