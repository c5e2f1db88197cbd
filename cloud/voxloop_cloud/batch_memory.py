"""Where onnxruntime reads and writes the caches of the streams of a batch: allocated once, for batches of any size."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

Array: TypeAlias = npt.NDArray[Any]
Caches: TypeAlias = Sequence[Array]
"""One stream's, the first axis of each of length 1."""


class BatchMemory:
    """The inputs and outputs of a streaming model's steps. For one thread.

    A batch's arrays are megabytes, and memory that is new for each step costs more than copying into memory that is
    there. The greatest cache, of attention, is input and output at once where `shares_cache` is true: our exporter
    writes it so that a step changes only the new frames' part of it.
    """

    def __init__(
        self, session: ort.InferenceSession, start: Caches, window_shape: tuple[int, int], shares_cache: bool
    ) -> None:
        """start: the caches of a stream that has heard nothing. window_shape: mel_bins, window_frames."""
        self._session = session
        self._start = start
        self._window_shape = window_shape
        self._shares_cache = shares_cache
        self._inputs = [tensor.name for tensor in session.get_inputs()]
        self._log_probs, _, *self._outputs = [tensor.name for tensor in session.get_outputs()]
        self._grow(1)

    def step(
        self, windows: npt.NDArray[np.float32], given: Sequence[Caches], following: Sequence[Caches]
    ) -> npt.NDArray[np.float32]:
        """The next windows of B streams, (B, window_frames, mel_bins): their log-probabilities, (B, T', V) float32.

        given: the streams' caches. following: where the next ones are written to; it may be the same memory.
        """
        streams = len(windows)
        if streams > self._capacity:
            self._grow(streams)
        binding = self._bindings.get(streams) or self._bind(streams)
        np.copyto(self._windows[:streams], windows.transpose(0, 2, 1))
        for row, caches in enumerate(given):
            for batch, cache in zip(self._caches, caches, strict=True):
                batch[row] = cache[0]
        binding.bind_output(self._log_probs)
        self._session.run_with_iobinding(binding)
        for row, caches in enumerate(following):
            for batch, cache in zip(self._next, caches, strict=True):
                cache[0] = batch[row]
        log_probs: npt.NDArray[np.float32] = binding.get_outputs()[0].numpy()
        return log_probs

    def _grow(self, streams: int) -> None:
        self._capacity = streams
        self._windows = np.empty((streams, *self._window_shape), np.float32)
        self._lengths = np.full(streams, self._window_shape[1], np.int64)
        self._caches: list[Array] = [np.empty((streams, *cache.shape[1:]), cache.dtype) for cache in self._start]
        self._next: list[Array] = [
            cache if self._shares_cache and place == 0 else np.empty_like(cache)
            for place, cache in enumerate(self._caches)
        ]
        self._bindings: dict[int, ort.IOBinding] = {}

    def _bind(self, streams: int) -> ort.IOBinding:
        """The first rows of all arrays, as a batch of so many streams."""
        binding = self._bindings[streams] = self._session.io_binding()
        inputs: list[Array] = [self._windows, self._lengths, *self._caches]
        for name, array in zip(self._inputs, inputs, strict=True):
            binding.bind_cpu_input(name, array[:streams])
        binding.bind_output(self._log_probs)  # the first, so that `step` finds it
        for name, array in zip(self._outputs, self._next, strict=True):
            rows = array[:streams]
            binding.bind_output(name, "cpu", 0, rows.dtype, rows.shape, rows.ctypes.data)
        return binding
