"""One stream's caches where onnxruntime reads and writes them, with no copy for each step."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

Array = npt.NDArray[np.generic]


class StreamMemory:
    """The inputs and outputs of one stream's steps, allocated once and bound to a session.

    The greatest cache, of attention, is input and output at once where `shares_cache` is true: our exporter writes it
    so that a step changes only the new frames' part of it. The others, a tenth of it, are copied back.
    """

    def __init__(
        self, session: ort.InferenceSession, start: Sequence[Array], window_shape: tuple[int, ...], shares_cache: bool
    ) -> None:
        """start: the caches of a stream that has heard nothing. window_shape: (1, mel_bins, window_frames)."""
        self._session = session
        self._window = np.empty(window_shape, np.float32)
        self.caches = tuple(cache.copy() for cache in start)
        self._next = tuple(
            cache if shares_cache and place == 0 else np.empty_like(cache) for place, cache in enumerate(self.caches)
        )
        self._binding = session.io_binding()
        length = np.full(1, window_shape[2], np.int64)
        inputs = [tensor.name for tensor in session.get_inputs()]
        for name, array in zip(inputs, (self._window, length, *self.caches), strict=True):
            self._binding.bind_cpu_input(name, array)
        self._log_probs_name, _, *cache_names = [tensor.name for tensor in session.get_outputs()]
        self._binding.bind_output(self._log_probs_name)  # the first, so that `step` finds it
        for name, array in zip(cache_names, self._next, strict=True):
            self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        self._length = length

    def step(self, window: Array) -> npt.NDArray[np.float32]:
        """The next window, (1, mel_bins, window_frames) float32: its log-probabilities, (1, T', V) float32."""
        np.copyto(self._window, window)
        self._binding.bind_output(self._log_probs_name)
        self._session.run_with_iobinding(self._binding)
        for cache, following in zip(self.caches, self._next, strict=True):
            if cache is not following:
                np.copyto(cache, following)
        log_probs: npt.NDArray[np.float32] = self._binding.get_outputs()[0].numpy()
        return log_probs
