"""Says of each frame whether it is speech."""

from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_edge.noise_floor import NoiseFloor
from voxloop_proto.audio import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Pcm, level_dbfs, to_pcm16
from voxloop_proto.errors import ConfigError
from voxloop_proto.events import Frame, JudgedFrame

VadKind = Literal["webrtc", "onnx", "none"]

WEBRTC_FRAME_MS = (10, 20, 30)
ONNX_FRAME_MS = 32
"""512 samples: what Silero VAD version 5 takes at 16 kHz."""


class VadConfig(BaseModel):
    """Which VAD judges the frames, and how strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: VadKind = Field("webrtc", description="webrtc, onnx (a Silero v5 file of your own) or none (all is speech)")
    frame_ms: int = Field(30, ge=10, le=32, description="length of the frames judged, in ms; onnx takes 32")
    aggressiveness: int = Field(2, ge=0, le=3, description="webrtc: 0 takes most for speech, 3 least")
    min_snr_db: float = Field(
        6.0, ge=0, le=40, description="webrtc: speech stands out this far from the background, in dB; 0 turns this off"
    )
    path: Path | None = Field(None, description="onnx: the model file")
    threshold: float = Field(0.5, gt=0, lt=1, description="onnx: probability from which on a frame is speech")

    @model_validator(mode="after")
    def _fits_the_kind(self) -> "VadConfig":
        if self.kind == "webrtc" and self.frame_ms not in WEBRTC_FRAME_MS:
            raise ValueError(f"frame_ms is {self.frame_ms}; the webrtc VAD takes 10, 20 or 30 ms")
        if self.kind == "onnx" and self.frame_ms != ONNX_FRAME_MS:
            raise ValueError(f"frame_ms is {self.frame_ms}; the onnx VAD takes {ONNX_FRAME_MS} ms")
        if self.kind == "onnx" and self.path is None:
            raise ValueError("path is not set; the onnx VAD needs its model file")
        return self


class Vad(Protocol):
    """Judges frames in order; keeps what state it needs between them."""

    @property
    def kind(self) -> VadKind:
        """The wire's name of it."""
        ...

    @property
    def version(self) -> str:
        """Version of the library, or checksum of the model."""
        ...

    @property
    def threshold(self) -> float:
        """webrtc: its aggressiveness; onnx: a probability."""
        ...

    def is_voiced(self, pcm: Pcm) -> bool:
        """Whether the next frame is speech."""
        ...

    def reset(self) -> None:
        """Forgets all frames: a new stream begins."""
        ...


class WebRtcVad:
    """The Gaussian-mixture VAD of WebRTC, and a gate against steady noise, which that VAD often takes for speech.

    Raises ConfigError if the library is missing.
    """

    kind: VadKind = "webrtc"

    def __init__(self, aggressiveness: int, frame_ms: int, min_snr_db: float = 6.0) -> None:
        try:
            import webrtcvad  # noqa: PLC0415 (native)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"the webrtc VAD needs the library '{error.name}'; install it with: pip install webrtcvad-wheels"
            ) from error
        if frame_ms not in WEBRTC_FRAME_MS:
            raise ConfigError(f"frames of {frame_ms} ms; the webrtc VAD takes 10, 20 or 30 ms")
        self._library = webrtcvad
        self._samples = frame_ms * SAMPLES_PER_MS
        self.version: str = webrtcvad.__version__
        self.threshold = float(aggressiveness)
        self._vad = webrtcvad.Vad(aggressiveness)
        self._floor = NoiseFloor(frame_ms)
        self._min_snr_db = min_snr_db

    def is_voiced(self, pcm: Pcm) -> bool:
        """Whether the next frame is speech."""
        stands_out = self._floor.follow(level_dbfs(pcm)) >= self._min_snr_db
        return bool(self._vad.is_speech(to_pcm16(pcm), SAMPLE_RATE_HZ, self._samples)) and stands_out

    def reset(self) -> None:
        """Forgets all frames."""
        self._vad = self._library.Vad(int(self.threshold))
        self._floor.reset()


class AlwaysVoiced:
    """No VAD: all is speech. For measuring what the VAD loses."""

    kind: VadKind = "none"
    version = "1"
    threshold = 0.0

    def is_voiced(self, pcm: Pcm) -> bool:  # noqa: ARG002 (the signature is the protocol's)
        """Always True."""
        return True

    def reset(self) -> None:
        """Nothing to forget."""


def open_vad(config: VadConfig) -> Vad:
    """The VAD that the settings name.

    Raises ConfigError if it cannot be loaded; there is no fallback to another.
    """
    if config.kind == "webrtc":
        return WebRtcVad(config.aggressiveness, config.frame_ms, config.min_snr_db)
    if config.kind == "onnx" and config.path is not None:
        from voxloop_edge.onnx_vad import OnnxVad  # noqa: PLC0415 (onnxruntime costs memory)

        return OnnxVad(config.path, config.threshold)
    return AlwaysVoiced()


class VadStage:
    """Stage: frames to judged frames. Adds no latency."""

    def __init__(self, vad: Vad) -> None:
        self._vad = vad

    def push(self, item: Frame, /) -> tuple[JudgedFrame, ...]:
        """Judges one frame."""
        return (JudgedFrame(item, self._vad.is_voiced(item.pcm)),)

    def flush(self) -> tuple[JudgedFrame, ...]:
        """Resets the VAD for a new stream."""
        self._vad.reset()
        return ()
