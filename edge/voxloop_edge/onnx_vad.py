"""A neural VAD in an ONNX file of the user's own, with the inputs and outputs of Silero VAD version 5."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from voxloop_edge.vad import VadKind
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.errors import ConfigError

FRAME_SAMPLES = 512
_CONTEXT_SAMPLES = 64  # the model sees the end of the frame before, as in Silero's own wrapper
_STATE_SHAPE = (2, 1, 128)
_INPUTS = {"input", "state", "sr"}


class OnnxVad:
    """Judges frames of 512 samples (32 ms) by a probability.

    The model: inputs input (1, 64 + 512) float32, state (2, 1, 128) float32, sr int64; outputs the probability (1, 1)
    and the next state.

    Raises ConfigError if the library, the file or its inputs are not as they must be.
    """

    kind: VadKind = "onnx"

    def __init__(self, path: Path, threshold: float) -> None:
        self._session = _open_session(path)
        self.version = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.threshold = threshold
        self._sample_rate = np.array(SAMPLE_RATE_HZ, np.int64)
        self.reset()

    def reset(self) -> None:
        """Forgets all frames."""
        self._state = np.zeros(_STATE_SHAPE, np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def is_voiced(self, pcm: Pcm) -> bool:
        """Whether the next frame is speech."""
        sound = np.concatenate((self._context, pcm))
        self._context = sound[-_CONTEXT_SAMPLES:]
        inputs = {"input": sound[None, :], "state": self._state, "sr": self._sample_rate}
        probability, self._state = self._session.run(None, inputs)
        return float(probability.reshape(-1)[0]) >= self.threshold


def _open_session(path: Path) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415 (native, and only needed for this VAD)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the onnx VAD needs the library '{error.name}'; install it with: pip install 'voxloop[onnx-vad]'"
        ) from error
    if not path.is_file():
        raise ConfigError(f"no VAD model {path}; set vad.path to an ONNX file, or vad.kind to webrtc")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        raise ConfigError(f"{path} is no ONNX model that onnxruntime loads: {error}") from error
    found = {entry.name for entry in session.get_inputs()}
    if found != _INPUTS or len(session.get_outputs()) != 2:
        raise ConfigError(
            f"{path} has inputs {', '.join(sorted(found))}; a VAD must have input, state and sr, and two outputs, "
            "as Silero VAD version 5 has"
        )
    return session
