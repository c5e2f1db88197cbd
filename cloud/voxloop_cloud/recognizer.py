"""The acoustic model: windows of features and a state in, log-probabilities and the next state out."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from voxloop_cloud.batch_memory import BatchMemory
from voxloop_cloud.bundle import MODEL_FILE, Bundle
from voxloop_cloud.decoding import open_decoding
from voxloop_cloud.model_layout import CacheShapes, Tensor, check_layout
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
_LEFT_OUT_OF_INT8 = ["ConstantFolding"]
"""It multiplies the fixed scales of sound and weights ahead of time; then nothing shows that product, cast and sums are
one operator, MatMulIntegerToFloat, which takes a tenth off a step. What else it would fold is tiny in our export."""

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


class Recognizer:
    """A bundle's model in onnxruntime. Free of streams: any number of threads may call `step` at once.

    Raises ContractError if the model isn't what the bundle says. Adds no latency beyond the window's length.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """threads: of one `step`; more streams at once are better served by more calls at once."""
        self.bundle = bundle
        left_out = _LEFT_OUT_OF_INT8 if bundle.config.model.quantization == "int8-static" else []
        self._session = open_session(bundle.path / MODEL_FILE, threads, left_out)
        self._start = _start_state(_check(bundle, self._session))
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        log_probs, *others = [tensor.name for tensor in self._session.get_outputs()]
        self._outputs = [log_probs, *others[1:]]  # not the lengths: they follow from the window's
        self._of_thread = threading.local()
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
        states. used_up: nobody needs the given states any more, so that they may be written over. Raises ModelError if
        the model fails.

        Each stream's values are its own, whatever company it has, up to `exact_batch` streams. Beyond it: with
        activations quantized per tensor (int8-dynamic) log-probabilities moved by up to 0.13 with 8 streams.
        """
        try:
            if whole := self.bundle.config.whole:
                return self._run(windows)[0][:, : whole.outputs_of(windows.shape[1])], list(states)
            following = [self._following(state, used_up) for state in states]
            given, written = ([state.caches for state in each] for each in (states, following))
            return self._memory().step(windows, given, written), following
        except ORT_ERRORS as error:
            raise ModelError(f"the model of {self.bundle.label} failed on a batch of {len(states)}: {error}") from error

    def _following(self, state: State, used_up: bool) -> State:
        """Where the next state is written to."""
        if used_up and state is not self._start:
            return state
        return State(tuple(np.empty_like(cache) for cache in state.caches))

    def _memory(self) -> BatchMemory:
        """This thread's."""
        found: BatchMemory | None = getattr(self._of_thread, "memory", None)
        if found is None:
            found = self._of_thread.memory = self._new_memory(self.shares_cache)
        return found

    def _new_memory(self, shares_cache: bool) -> BatchMemory:
        config = self.bundle.config
        assert config.chunk is not None, "an offline model has no caches"
        shape = (config.features.mel_bins, config.chunk.window_frames)
        return BatchMemory(self._session, self._start.caches, shape, shares_cache)

    def _run(self, windows: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Log-probabilities and next caches of streams that have heard nothing before these windows."""
        streams, frames, _ = windows.shape
        inputs = (
            np.ascontiguousarray(windows.transpose(0, 2, 1)),
            np.full(streams, frames, np.int64),
            *(np.repeat(cache, streams, axis=0) for cache in self._start.caches),
        )
        outputs: list[npt.NDArray[Any]] = self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True)))
        return outputs

    def _try_out(self) -> None:
        """One step on silence: what the layout promises must come out, and the first real step is not a slow one."""
        config, file = self.bundle.config, self.bundle.path / MODEL_FILE
        frames = config.chunk.window_frames if config.chunk else _TRIED_OUTPUTS * config.windows.subsampling_factor
        try:
            log_probs, *following = self._run(np.full((1, frames, config.features.mel_bins), -10.0, np.float32))
        except ORT_ERRORS as error:
            raise ContractError(
                f"{file}: the model failed on a batch of 1, of silence: {error}; export it again"
            ) from error
        found = (log_probs.shape, *(cache.shape for cache in following))
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

    def _find_out_sharing(self) -> bool:
        """Whether a step may write the attention's cache over the one that it reads.

        No graph says so of itself, so a batch is recognised both ways: the order of a session's work is fixed, and
        what was written too early would be heard.
        """
        config = self.bundle.config
        if config.chunk is None:
            return False
        shape = (_TRIED_STEPS, self.exact_batch or 2, config.chunk.window_frames, config.features.mel_bins)
        steps = np.random.default_rng(0).standard_normal(shape, np.float32) * np.float32(3.0) - np.float32(8.0)
        apart, shared = (self._hear(self._new_memory(shares), steps) for shares in (False, True))
        return bool(np.array_equal(apart, shared))

    def _hear(self, memory: BatchMemory, steps: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Log-probabilities of streams from their start, (S, B, window_frames, mel_bins) -> (S, B, T', V)."""
        caches = [tuple(cache.copy() for cache in self._start.caches) for _ in steps[0]]
        return np.stack([memory.step(windows, caches, caches) for windows in steps])


def open_session(file: Path, threads: int = 1, left_out: Sequence[str] = ()) -> ort.InferenceSession:
    """An ONNX file, loaded for the CPU. left_out: onnxruntime's optimizers, by name, that would do harm.

    Raises ContractError if onnxruntime can't load it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(
            str(file),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(left_out),
            enable_fallback=0,
        )
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
