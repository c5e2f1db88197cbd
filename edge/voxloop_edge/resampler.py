"""Brings sound of any rate and channel count to 16 kHz mono, as it comes."""

import numpy as np
import numpy.typing as npt
import soxr

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.errors import ConfigError, DataError
from voxloop_proto.events import Chunk

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000
MAX_CHANNELS = 64
MAX_PEAK = 8.0
"""Beyond this (18 dB over full scale) float samples are not in [-1, 1] by mistake of scale, such as 16-bit integers."""

_QUALITY = "HQ"  # 0.30 ms of CPU per second of 44.1 kHz sound, no more than soxr's lower settings

Block = npt.NDArray[np.float32]
"""Samples at the source's rate, shape (N,) or (N, channels), float32 in [-1, 1]."""


class Resampler:
    """Stage: blocks at the source's rate to chunks of 16 kHz mono. Channels are averaged.

    At 16 kHz it adds no latency, at other rates soxr holds back a few ms; the time index is exact either way.
    start_sample: index of the first sample that it will be given, at 16 kHz.
    """

    def __init__(self, rate_hz: int, channels: int, start_sample: int = 0) -> None:
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise ConfigError(f"sample rate {rate_hz} Hz; allowed are {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")
        if not 1 <= channels <= MAX_CHANNELS:
            raise ConfigError(f"{channels} channels; allowed are 1 to {MAX_CHANNELS}")
        self._rate_hz = rate_hz
        self._channels = channels
        self._next_sample = start_sample
        self._taken = 0
        self._soxr = self._new_soxr()

    def push(self, item: Block, /) -> tuple[Chunk, ...]:
        """Takes a block of any length.

        Raises DataError that names the position of a sample that is no number or far beyond full scale.
        """
        if item.size == 0:
            return ()
        block = item.reshape(len(item), self._channels)
        self._check(block)
        self._taken += len(block)
        mono = block[:, 0] if self._channels == 1 else block.mean(axis=1, dtype=np.float32)
        return self._give(mono if self._soxr is None else self._soxr.resample_chunk(np.ascontiguousarray(mono)))

    def flush(self) -> tuple[Chunk, ...]:
        """What soxr held back. The stream may then go on at the very next sample."""
        if self._soxr is None:
            return ()
        rest = self._soxr.resample_chunk(np.zeros(0, np.float32), last=True)
        self._soxr = self._new_soxr()
        return self._give(rest)

    def _new_soxr(self) -> "soxr.ResampleStream | None":
        if self._rate_hz == SAMPLE_RATE_HZ:
            return None
        return soxr.ResampleStream(self._rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality=_QUALITY)

    def _give(self, pcm: Pcm) -> tuple[Chunk, ...]:
        if len(pcm) == 0:
            return ()
        chunk = Chunk(self._next_sample, pcm)
        self._next_sample += len(pcm)
        return (chunk,)

    def _check(self, block: Block) -> None:
        peak = max(float(block.max()), -float(block.min()))  # NaN if any sample is
        if peak <= MAX_PEAK:
            return
        frame, channel = np.argwhere(~(np.abs(block) <= MAX_PEAK))[0]
        position = self._taken + int(frame)
        raise DataError(
            f"sample {position} ({position / self._rate_hz:.3f} s) of channel {channel} is {block[frame, channel]}; "
            f"float samples are numbers in [-1, 1]: write the file again from its source, or scale it"
        )
