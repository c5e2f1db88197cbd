"""The acoustic model: windows of features and a state in, log-probabilities and the next state out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from voxloop_cloud.bundle import MODEL_FILE, Bundle
from voxloop_cloud.decoding import open_decoding
from voxloop_cloud.model_layout import CacheShapes, Tensor, check_layout
from voxloop_cloud.stream_memory import StreamMemory
from voxloop_proto.errors import ContractError, ModelError

ORT_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.ModelLoaded,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    UnicodeDecodeError,  # it quotes bytes of a broken file
)
"""All that onnxruntime raises; they have no common base of their own."""

EXACT_QUANTIZATIONS = frozenset({"none", "nbits", "int8-static"})
"""Those in which a stream's values are its own, whatever company it has in a batch."""

_LOG_ERRORS_ONLY = 3
_TRIED_STEPS = 12
"""More than fill the cache of any model that we export."""

_TRIED_OUTPUTS = 16
"""Frames of log-probabilities that an offline model is tried out with."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What one stream remembers between windows; a value, never written to once made, unless it is used up by a step.

    caches: channel, rank 4, float32 · time, rank 4, float32 · channel length (1,) int64, frames heard or filled, as
    the exporter has it; the first axis is the stream's; an offline model has none
    """

    caches: tuple[npt.NDArray[Any], ...]
    memory: StreamMemory | None = None
    """Where the caches are, if they are bound to their place."""


class Recognizer:
    """A bundle's model in onnxruntime. Free of streams: any number of threads may call `step` at once.

    Raises ContractError if the model isn't what the bundle says. Adds no latency beyond the window's length.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """threads: of one `step`; more streams at once are better served by more calls at once."""
        self.bundle = bundle
        self._session = open_session(bundle.path / MODEL_FILE, threads)
        self._start = _start_state(_check(bundle, self._session))
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        log_probs, *others = [tensor.name for tensor in self._session.get_outputs()]
        self._outputs = [log_probs, *others[1:]]  # not the lengths: they follow from the window's
        self._try_out()
        self.shares_cache = self._find_out_sharing()
        self.decoding = open_decoding(bundle)

    @property
    def exact_batch(self) -> int | None:
        """Most windows that one step may take with each stream's values its own; None: any number.

        One for an offline model, whose segments differ in length; for dynamic int8, which scales a whole batch by its
        largest value (docs/decisions/0006); and for a file that was exported for one stream.
        """
        config = self.bundle.config
        one_stream = self._session.get_inputs()[0].shape[0] == 1
        return 1 if config.whole or one_stream or config.model.quantization not in EXACT_QUANTIZATIONS else None

    def start(self) -> State:
        """The state of a stream that has heard nothing."""
        return self._start

    def step(
        self, states: Sequence[State], windows: npt.NDArray[np.float32], *, used_up: bool = False
    ) -> tuple[npt.NDArray[np.float32], list[State]]:
        """Recognises the next window of each of B streams.

        windows: (B, window_frames, mel_bins) float32. Returns log-probabilities (B, T', V) float32 and the next
        states. used_up: the given states are not needed any more, so that a lone stream's may be written over.
        Raises ModelError if the model fails.

        Each stream's values are its own, whatever company it has, up to `exact_batch` streams. Beyond it: with
        activations quantized per tensor (int8-dynamic) log-probabilities moved by up to 0.13 with 8 streams.
        """
        if used_up and len(states) == 1 and self.shares_cache is not None:
            return self._step_in_place(states[0], windows)
        log_probs, following = self._run(states, windows)
        whole = self.bundle.config.whole
        return log_probs[:, : whole.outputs_of(windows.shape[1])] if whole else log_probs, following

    def _step_in_place(
        self, state: State, windows: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], list[State]]:
        window = windows.transpose(0, 2, 1)
        memory = state.memory or StreamMemory(self._session, state.caches, window.shape, bool(self.shares_cache))
        try:
            log_probs = memory.step(window)
        except ORT_ERRORS as error:
            raise ModelError(f"the model of {self.bundle.label} failed on a window: {error}") from error
        return log_probs, [State(memory.caches, memory)]

    def _run(
        self, states: Sequence[State], windows: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], list[State]]:
        state = states[0] if len(states) == 1 else _stack(states)
        inputs = (
            np.ascontiguousarray(windows.transpose(0, 2, 1)),
            np.full(len(states), windows.shape[1], np.int64),
            *state.caches,
        )
        try:
            log_probs, *caches = self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True)))
        except ORT_ERRORS as error:
            raise ModelError(f"the model of {self.bundle.label} failed on a batch of {len(states)}: {error}") from error
        following = State(tuple(caches))
        return log_probs, [following] if len(states) == 1 else _unstack(following, len(states))

    def _try_out(self) -> None:
        """One step on silence: what the layout promises must come out, and the first real step is not a slow one."""
        config, file = self.bundle.config, self.bundle.path / MODEL_FILE
        frames = config.chunk.window_frames if config.chunk else _TRIED_OUTPUTS * config.windows.subsampling_factor
        try:
            log_probs, (state,) = self._run(
                [self._start], np.full((1, frames, config.features.mel_bins), -10.0, np.float32)
            )
        except ModelError as error:
            raise ContractError(f"{file}: {error.message}; export it again") from error
        found = (log_probs.shape, *(cache.shape for cache in state.caches))
        caches = [cache.shape for cache in self._start.caches]
        outputs = config.windows.outputs_of(frames)
        # An offline model may count a remainder that isn't there; `step` leaves it off.
        allowed = [
            ((1, count, len(self.bundle.tokens)), *caches)
            for count in range(outputs, outputs + (2 if config.whole else 1))
        ]
        if found not in allowed:
            raise ContractError(
                f"{file} gives log-probabilities and caches of shapes {found} for a window of {frames} frames; "
                f"its metadata and tokens promise {allowed[0]}; export it again"
            )
        if not np.isfinite(log_probs).all():
            raise ContractError(f"{file} gives values that are not finite; export it from a good checkpoint")

    def _find_out_sharing(self) -> bool | None:
        """Whether a step may write the attention's cache over the one that it reads; None for a model without caches.

        No graph says so of itself, so a stream is recognised both ways: the order of a session's work is fixed, and
        what was written too early would be heard.
        """
        config = self.bundle.config
        if config.chunk is None:
            return None
        shape = (_TRIED_STEPS, 1, config.features.mel_bins, config.chunk.window_frames)
        windows = np.random.default_rng(0).standard_normal(shape, np.float32) * np.float32(3.0) - np.float32(8.0)
        apart, shared = (
            StreamMemory(self._session, self._start.caches, windows[0].shape, shares) for shares in (False, True)
        )
        return all(np.array_equal(apart.step(window), shared.step(window)) for window in windows)


def open_session(file: Path, threads: int = 1) -> ort.InferenceSession:
    """An ONNX file, loaded for the CPU. Raises ContractError if onnxruntime can't."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"], enable_fallback=0)
        _ = tensors_of(session), session.get_modelmeta().custom_metadata_map  # here it shows if a name is no text
    except ORT_ERRORS as error:
        raise ContractError(
            f"{file} is not a model that onnxruntime {ort.__version__} can load ({error}); "
            "allowed is an ONNX file in one of NeMo's CTC layouts; export it again"
        ) from error
    return session


def _check(bundle: Bundle, session: ort.InferenceSession) -> CacheShapes | None:
    inputs, outputs = tensors_of(session)
    return check_layout(
        where=str(bundle.path / MODEL_FILE),
        inputs=inputs,
        outputs=outputs,
        metadata=session.get_modelmeta().custom_metadata_map,
        config=bundle.config,
        token_count=len(bundle.tokens),
    )


def tensors_of(session: ort.InferenceSession) -> tuple[list[Tensor], list[Tensor]]:
    """The inputs and outputs that a model declares."""
    inputs, outputs = (
        [Tensor(each.name, each.type, tuple(each.shape)) for each in declared]
        for declared in (session.get_inputs(), session.get_outputs())
    )
    return inputs, outputs


def _start_state(shapes: CacheShapes | None) -> State:
    if shapes is None:
        return State(())
    channel, time = np.zeros((1, *shapes.channel), np.float32), np.zeros((1, *shapes.time), np.float32)
    return State((channel, time, np.zeros(1, np.int64)))


def _stack(states: Sequence[State]) -> State:
    caches = zip(*(state.caches for state in states), strict=True)
    return State(tuple(np.concatenate(of_all) for of_all in caches))


def _unstack(state: State, streams: int) -> list[State]:
    """One state per stream; copies, as a view of one row would keep the whole batch in memory."""
    return [State(tuple(cache[row : row + 1].copy() for cache in state.caches)) for row in range(streams)]
