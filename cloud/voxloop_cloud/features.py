"""What the recognizer hears: Kaldi's or NeMo's log-mel filterbanks of sound that is still arriving."""

import numpy as np

from voxloop_cloud.feature_config import FeatureConfig
from voxloop_cloud.filterbank import Features, filterbank_of
from voxloop_proto.audio import Pcm

__all__ = ["FeatureStream", "Features"]

_DEVIATION_GUARD = np.float32(1e-5)
"""What NeMo adds to a deviation before it divides by it."""


class FeatureStream:
    """The features of one segment. Sound before the last dropped frame is gone, so memory stays bounded.

    Takes no time for what is pushed, only for what is asked for; so features depend on the sound and on the window, not
    on how the sound was cut. Adds (frame_length + frame_shift) / 2 of latency after a frame's start: 17.5 ms.
    """

    def __init__(self, config: FeatureConfig) -> None:
        self._config = config
        self._filterbank = filterbank_of(config)
        self._samples = 0
        self._padding_samples = 0
        self._padded = False
        self._dropped_frames = 0
        self._sound: Pcm | None = None  # what a frame may still ask for; None until one is asked for
        self._sound_start = 0  # its first sample's place in the segment, below 0 before the first
        self._arrived: list[Pcm] = []  # since then

    @property
    def samples(self) -> int:
        """Samples pushed, the padding not counted."""
        return self._samples

    @property
    def frames_ready(self) -> int:
        """Frames that `window` may ask for, counted from the segment's start, dropped ones included."""
        return self._config.frames_within(self._samples + self._padding_samples)

    def push(self, pcm: Pcm) -> None:
        """Takes samples, (N,) float32 in [-1, 1], N of any size, and keeps them: they may not change any more."""
        assert not self._padded, "push after finish"
        if pcm.size:
            self._samples += pcm.size
            self._arrived.append(pcm)

    def finish(self, frames: int | None) -> None:
        """Ends the segment with digital silence, enough for so many frames in all.

        None: with nothing; what the last frames lack is the sound's end mirrored, as Kaldi has it for a clip.
        """
        self._padded = True
        wanted = self._config.frames_in(self._samples) if frames is None else frames
        missing = self._config.samples_for(wanted) - self._samples
        if missing <= 0:
            return
        silence = np.zeros(missing, np.float32)
        self._arrived.append(silence if frames is not None else _mirrored_end(self._joined(), missing))
        self._padding_samples = missing

    def window(self, start: int, length: int) -> Features:
        """The frames from start on, (length, mel_bins) float32; at least one; they must be ready and not dropped."""
        assert self._dropped_frames <= start < start + length <= self.frames_ready, "frames are not there"
        sound = self._joined()
        first = self._config.first_sample_of(start) - self._sound_start
        stop = self._config.samples_for(start + length) - self._sound_start
        features = self._filterbank.log_mel(sound[first:stop])
        return _per_feature(features) if self._config.normalization == "per-feature" else features

    def drop_before(self, frame: int) -> None:
        """Forgets the frames before this one, which must be ready or the next to be."""
        assert self._dropped_frames <= frame <= self.frames_ready, "frames are not there"
        if frame == self._dropped_frames:
            return
        sound = self._joined()
        unused = min(sound.size, self._config.first_sample_of(frame) - self._sound_start)
        self._sound = sound[unused:]
        self._sound_start += unused
        self._dropped_frames = frame

    def _joined(self) -> Pcm:
        """All sound that was not dropped, and before the segment's start its start mirrored, as far as the first frame
        reaches there. So there must be a frame, or no more sound to come."""
        if self._sound is None:
            before = max(0, -self._config.first_sample_of(0))
            self._sound = np.pad(np.concatenate(self._arrived), (before, 0), mode="symmetric")
            self._sound_start = -before
        elif self._arrived:
            self._sound = np.concatenate([self._sound, *self._arrived])
        self._arrived.clear()
        return self._sound


def _mirrored_end(sound: Pcm, samples: int) -> Pcm:
    """What follows the sound's end if it is mirrored there, edge sample included."""
    return np.pad(sound, (0, samples), mode="symmetric")[-samples:]


def _per_feature(features: Features) -> Features:
    """Each bin with mean 0 and deviation 1 over all frames. The deviation is the population's, as in sherpa-onnx; NeMo
    has the sample's, which is 0.5 % more in a second of sound."""
    normalized: Features = (features - features.mean(axis=0)) / (features.std(axis=0) + _DEVIATION_GUARD)
    return normalized
