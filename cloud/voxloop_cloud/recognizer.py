"""The acoustic model: windows of features and a state in, log-probabilities and the next state out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from voxloop_cloud.bundle import MODEL_FILE, Bundle
from voxloop_cloud.decoding import Decoder, open_decoding
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
)
"""All that onnxruntime raises; they have no common base of their own."""

_LOG_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What one stream remembers between windows; a value, never written to once made.

    channel: (1, L, C, D) float32 · time: (1, L, D, K) float32 · channel_length: (1,) int64, frames filled of the C
    """

    channel: npt.NDArray[np.float32]
    time: npt.NDArray[np.float32]
    channel_length: npt.NDArray[np.int64]


class Recognizer:
    """A bundle's model in onnxruntime. Free of streams: any number of threads may call `step` at once.

    Raises ContractError if the model isn't what the bundle says. Adds no latency beyond the window's length.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """threads: of one `step`; more streams at once are better served by more calls at once."""
        self.bundle = bundle
        self._session = _open(bundle, threads)
        self._shapes = _check(bundle, self._session)
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        self._outputs = [tensor.name for tensor in self._session.get_outputs()]
        self._start = State(
            np.zeros((1, *self._shapes.channel), np.float32),
            np.zeros((1, *self._shapes.time), np.float32),
            np.zeros(1, np.int64),
        )
        self._try_out()
        self._start_decoder = open_decoding(bundle)

    def start_decoder(self) -> Decoder:
        """A decoder for a new stream."""
        return self._start_decoder()

    def start(self) -> State:
        """The state of a stream that has heard nothing."""
        return self._start

    def step(
        self, states: Sequence[State], windows: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], list[State]]:
        """Recognises the next window of each of B streams.

        windows: (B, window_frames, mel_bins) float32. Returns log-probabilities (B, T', V) float32 and the next
        states. Raises ModelError if the model fails.

        Each stream's values are its own, whatever company it has, but for models whose activations are quantized per
        tensor (int8-dynamic): there the scale is the batch's, and log-probabilities moved by up to 0.13 with 8 streams.
        """
        state = states[0] if len(states) == 1 else _stack(states)
        inputs = (
            np.ascontiguousarray(windows.transpose(0, 2, 1)),
            np.full(len(states), windows.shape[1], np.int64),
            state.channel,
            state.time,
            state.channel_length,
        )
        try:
            log_probs, _, *caches = self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True)))
        except ORT_ERRORS as error:
            raise ModelError(f"the model of {self.bundle.label} failed on a batch of {len(states)}: {error}") from error
        following = State(*caches)
        return log_probs, [following] if len(states) == 1 else _unstack(following)

    def _try_out(self) -> None:
        """One step on silence: what the layout promises must come out, and the first real step is not a slow one."""
        chunk, mel_bins = self.bundle.config.chunk, self.bundle.config.features.mel_bins
        window = np.full((1, chunk.window_frames, mel_bins), -10.0, np.float32)
        try:
            log_probs, (state,) = self.step([self._start], window)
        except ModelError as error:
            raise ContractError(f"{self.bundle.path / MODEL_FILE}: {error.message}; export it again") from error
        found = (log_probs.shape, state.channel.shape, state.time.shape)
        expected = (
            (1, chunk.shift_frames // chunk.subsampling_factor, len(self.bundle.tokens)),
            self._start.channel.shape,
            self._start.time.shape,
        )
        if found != expected:
            raise ContractError(
                f"{self.bundle.path / MODEL_FILE} gives log-probabilities and caches of shapes {found} for one window; "
                f"its metadata and tokens promise {expected}; export it again"
            )
        if not np.isfinite(log_probs).all():
            raise ContractError(
                f"{self.bundle.path / MODEL_FILE} gives values that are not finite; export it from a good checkpoint"
            )


def _open(bundle: Bundle, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(bundle.path / MODEL_FILE), options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise ContractError(
            f"{bundle.path / MODEL_FILE} is not a model that onnxruntime {ort.__version__} can load ({error}); "
            "allowed is an ONNX file in NeMo's streaming CTC layout; export it again"
        ) from error


def _check(bundle: Bundle, session: ort.InferenceSession) -> CacheShapes:
    return check_layout(
        where=str(bundle.path / MODEL_FILE),
        inputs=[Tensor(each.name, each.type, tuple(each.shape)) for each in session.get_inputs()],
        outputs=[Tensor(each.name, each.type, tuple(each.shape)) for each in session.get_outputs()],
        metadata=session.get_modelmeta().custom_metadata_map,
        config=bundle.config,
        token_count=len(bundle.tokens),
    )


def _stack(states: Sequence[State]) -> State:
    return State(
        np.concatenate([state.channel for state in states]),
        np.concatenate([state.time for state in states]),
        np.concatenate([state.channel_length for state in states]),
    )


def _unstack(state: State) -> list[State]:
    """One state per stream; copies, as a view of one row would keep the whole batch in memory."""
    return [
        State(
            state.channel[row : row + 1].copy(),
            state.time[row : row + 1].copy(),
            state.channel_length[row : row + 1].copy(),
        )
        for row in range(len(state.channel_length))
    ]
