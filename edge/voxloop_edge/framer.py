"""Cuts chunks of any size into frames of one size."""

import numpy as np

from voxloop_proto.audio import SAMPLES_PER_MS, Pcm
from voxloop_proto.errors import DataError
from voxloop_proto.events import Chunk, Frame

GAP_FILL_MS = 4_000
"""A hole in the time index is filled with this much silence at most: more than the longest hang-over, so that a segment
ends before a longer hole and never spans it."""


class Framer:
    """Stage: chunks to frames. Adds less than one frame of latency.

    A hole in the time index (samples that the source lost) becomes silence of the same length, up to GAP_FILL_MS; the
    time index is right either way. The last frame of a stream is padded with zeros.
    """

    def __init__(self, frame_ms: int) -> None:
        self._size = frame_ms * SAMPLES_PER_MS
        self._rest: Pcm = np.zeros(0, np.float32)
        self._rest_start: int | None = None  # None before the first chunk

    def push(self, item: Chunk, /) -> tuple[Frame, ...]:
        """Takes a chunk of any length.

        Raises DataError if it begins before the last one ended.
        """
        if self._rest_start is None:
            self._rest_start = item.start_sample
        gap_samples = item.start_sample - self._rest_start - len(self._rest)
        if gap_samples == 0:
            return self._cut(item.pcm)
        if gap_samples < 0:
            raise DataError(
                f"a chunk begins at sample {item.start_sample}, {-gap_samples} before the last one ended; "
                "a source must count its samples"
            )
        return self._fill(gap_samples, item) + self._cut(item.pcm)

    def flush(self) -> tuple[Frame, ...]:
        """The last frame, padded with zeros."""
        rest, start = self._rest, self._rest_start
        self._rest = rest[:0]
        self._rest_start = None
        if start is None or len(rest) == 0:
            return ()
        return (Frame(start, np.concatenate((rest, np.zeros(self._size - len(rest), np.float32))), len(rest)),)

    def _fill(self, gap_samples: int, item: Chunk) -> tuple[Frame, ...]:
        filled_samples = min(gap_samples, GAP_FILL_MS * SAMPLES_PER_MS)
        frames = self._cut(np.zeros(filled_samples, np.float32))
        if filled_samples < gap_samples:
            frames += self.flush()
            self._rest_start = item.start_sample
        return frames

    def _cut(self, pcm: Pcm) -> tuple[Frame, ...]:
        size, start = self._size, self._rest_start or 0
        sound = np.concatenate((self._rest, pcm)) if len(self._rest) else pcm
        whole = len(sound) // size * size
        self._rest = sound[whole:]
        self._rest_start = start + whole
        return tuple(Frame(start + at, sound[at : at + size], size) for at in range(0, whole, size))
