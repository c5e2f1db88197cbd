"""Kaldi's and NeMo's log-mel filterbanks, many frames at once.

The window and the mel filters are kaldi-native-fbank's own tables; what it does with them frame by frame, numpy does
here to all frames of a window in a third of the time (docs/decisions/0013-features-in-blocks.md).
"""

from functools import lru_cache

import kaldi_native_fbank as knf
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from voxloop_cloud.feature_config import FeatureConfig
from voxloop_proto.audio import Pcm

Features = npt.NDArray[np.float32]
"""Log-mel energies, shape (T, mel_bins) float32, natural logarithm of power."""

KALDI_LOG_FLOOR = np.finfo(np.float32).eps
"""The least power, 2^-23, of which Kaldi takes the logarithm."""

NEMO_LOG_GUARD = np.float32(2**-24)
"""What NeMo adds to a power before it takes the logarithm."""

_BLOCK_FRAMES = 64
"""Frames at once: more than a window of a streaming model has; 0.4 MB, which stays in a core's cache."""


class Filterbank:
    """The features of sound that is all there. Has no state, so that any number of streams and threads may share it."""

    def __init__(self, config: FeatureConfig) -> None:
        options = _options(config)
        self._shift_samples = config.shift_samples
        self._mean_removed = config.kind == "kaldi-fbank"
        self._preemphasis = np.float32(config.preemphasis)
        self._floored = config.log_guard == "floor"
        self._window = np.array(knf.FeatureWindowFunction(options.frame_opts).window, np.float32)
        mel_filters = knf.MelBanks(options.mel_opts, options.frame_opts, 1.0).get_matrix()
        self._mel_filters = np.ascontiguousarray(mel_filters.T)  # (spectrum, mel_bins)
        self._fft_samples = 2 * (len(self._mel_filters) - 1)

    def log_mel(self, sound: Pcm) -> Features:
        """The frames that lie in the sound, the first one at its start: (N,) float32 -> (T, mel_bins) float32."""
        frames = self._framed(np.ascontiguousarray(sound))
        features = np.empty((len(frames), self._mel_filters.shape[1]), np.float32)
        for start in range(0, len(frames), _BLOCK_FRAMES):
            block = slice(start, start + _BLOCK_FRAMES)
            np.matmul(self._power(self._shaped(frames[block])), self._mel_filters, out=features[block])
        if self._floored:
            np.maximum(features, KALDI_LOG_FLOOR, out=features)
        else:
            features += NEMO_LOG_GUARD
        return np.log(features, out=features)

    def _framed(self, sound: Pcm) -> Pcm:
        """A view of each frame's samples, (T, length) float32."""
        length = len(self._window)
        count = max(0, (sound.size - length) // self._shift_samples + 1)
        # Not sliding_window_view, which takes three times as long for the same view.
        strides = (self._shift_samples * sound.itemsize, sound.itemsize)
        return as_strided(sound, (count, length), strides, writeable=False)

    def _shaped(self, frames: Pcm) -> Pcm:
        """Mean removed, pre-emphasised, windowed, and with zeros up to the FFT's size: (T, fft) float32."""
        shaped = frames.copy()
        if self._mean_removed:
            # einsum sums rows in half the time of `mean`.
            shaped -= (np.einsum("ij->i", frames) / np.float32(frames.shape[1]))[:, None]
        # All rows at one go; a frame's first sample, which has none before it, is its own predecessor.
        first = shaped[:, 0] * (1 - self._preemphasis)
        flat = shaped.reshape(-1)
        flat[1:] -= self._preemphasis * flat[:-1]
        shaped[:, 0] = first
        padded = np.zeros((len(frames), self._fft_samples), np.float32)
        np.multiply(shaped, self._window, out=padded[:, : len(self._window)])
        return padded

    @staticmethod
    def _power(frames: Pcm) -> Pcm:
        """The power spectrum, (T, fft) -> (T, fft / 2 + 1) float32."""
        squares = np.fft.rfft(frames).view(np.float32)  # real and imaginary parts in turn
        squares *= squares
        power: Pcm = squares[:, ::2] + squares[:, 1::2]
        return power


@lru_cache(maxsize=16)
def filterbank_of(config: FeatureConfig) -> Filterbank:
    """The filterbank that all streams with these features share."""
    return Filterbank(config)


def _options(config: FeatureConfig) -> knf.FbankOptions:
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = config.sample_rate_hz
    options.frame_opts.frame_length_ms = config.frame_length_ms
    options.frame_opts.window_type = config.window
    options.mel_opts.num_bins = config.mel_bins
    options.mel_opts.is_librosa = config.kind == "nemo-fbank"
    options.mel_opts.low_freq = config.low_hz
    options.mel_opts.high_freq = config.high_hz
    return options
