"""What the VADs hear, and that one that cannot be loaded stops the program."""

import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from voxloop_edge.noise_floor import NoiseFloor
from voxloop_edge.onnx_vad import OnnxVad
from voxloop_edge.testing import LoudnessVad
from voxloop_edge.vad import AlwaysVoiced, Vad, VadConfig, VadStage, WebRtcVad, open_vad
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import ConfigError
from voxloop_proto.events import Frame
from voxloop_proto.stage import run


def write_onnx_vad(path: Path, inputs: tuple[str, str, str] = ("input", "state", "sr")) -> Path:
    """A model with Silero's inputs: the probability is the loudest sample, the state counts the calls."""
    from onnx import TensorProto, helper, save

    sound, state, rate = inputs
    graph = helper.make_graph(
        [
            helper.make_node("Abs", [sound], ["loud"]),
            helper.make_node("ReduceMax", ["loud", "axis"], ["output"], keepdims=1),
            helper.make_node("Cast", [rate], ["rate"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["rate", "rate"], ["one"]),
            helper.make_node("Add", [state, "one"], ["stateN"]),
        ],
        "vad",
        [
            helper.make_tensor_value_info(sound, TensorProto.FLOAT, [1, 576]),
            helper.make_tensor_value_info(state, TensorProto.FLOAT, [2, 1, 128]),
            helper.make_tensor_value_info(rate, TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1]),
            helper.make_tensor_value_info("stateN", TensorProto.FLOAT, [2, 1, 128]),
        ],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    save(model, str(path))
    return path


def babble(frames: int, samples: int, dbfs: float) -> list[Pcm]:
    """Something that the webrtc VAD takes for speech: a buzzing voice."""
    time = np.arange(frames * samples) / 16_000
    voice = sum(np.sin(2 * np.pi * 140 * number * time) / number for number in range(1, 25))
    loudness = 10 ** (dbfs / 20) * (1.2 + np.sin(2 * np.pi * 4 * time))
    return np.split((voice * loudness).astype(np.float32), frames)


VADS = ["webrtc", "onnx", "none", "fake"]


def make(kind: str, tmp_path: Path) -> tuple[Vad, int]:
    """A VAD and the length of its frames."""
    if kind == "fake":
        return LoudnessVad(), 480
    if kind == "onnx":
        path = write_onnx_vad(tmp_path / "vad.onnx")
        return open_vad(VadConfig(kind="onnx", path=path, frame_ms=32, threshold=0.05)), 512
    return open_vad(VadConfig.model_validate({"kind": kind})), 480


@pytest.mark.parametrize("kind", VADS)
def test_a_vad_hears_speech_names_itself_and_forgets_on_reset(kind: str, tmp_path: Path) -> None:
    vad, samples = make(kind, tmp_path)
    frames = [np.zeros(samples, np.float32)] * 20 + babble(60, samples, -18)
    first = [vad.is_voiced(frame) for frame in frames]
    vad.reset()
    assert [vad.is_voiced(frame) for frame in frames] == first
    assert sum(first[20:]) > 50
    assert kind == "none" or not any(first[:20])
    assert vad.version
    assert vad.kind in ("webrtc", "onnx", "none")


def test_a_steady_noise_is_not_speech_for_long() -> None:
    vad = WebRtcVad(0, 30)
    noise = np.random.default_rng(2).uniform(-0.1, 0.1, (1000, 480)).astype(np.float32)
    heard = [vad.is_voiced(frame) for frame in noise]
    assert not any(heard[700:])


def test_the_floor_falls_at_once_and_rises_slowly() -> None:
    floor = NoiseFloor(30)
    for _ in range(100):
        floor.follow(-40.0)
    assert floor.follow(-40.0) == pytest.approx(-40 - (-70 + 3 * 3.03))
    for _ in range(20):
        floor.follow(-80.0)
    assert floor.follow(-30.0) > 45


def test_frames_are_judged_in_order_and_passed_on() -> None:
    frames = [Frame(at * 480, np.full(480, loud, np.float32), 480) for at, loud in enumerate([0.0, 0.5, 0.0])]
    judged = list(run(VadStage(LoudnessVad()), frames))
    assert [item.voiced for item in judged] == [False, True, False]
    assert [item.frame for item in judged] == frames


def test_the_onnx_vad_sees_the_end_of_the_frame_before(tmp_path: Path) -> None:
    vad = OnnxVad(write_onnx_vad(tmp_path / "vad.onnx"), 0.5)
    loud_end = np.zeros(512, np.float32)
    loud_end[-1] = 1.0
    assert [vad.is_voiced(pcm) for pcm in (loud_end, loud_end * 0, loud_end * 0)] == [True, True, False]


@pytest.mark.parametrize("missing", ["webrtcvad", "onnxruntime"])
def test_a_missing_library_stops_the_program(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_onnx_vad(tmp_path / "vad.onnx")
    monkeypatch.setitem(sys.modules, missing, None)
    config = VadConfig() if missing == "webrtcvad" else VadConfig(kind="onnx", path=path, frame_ms=32)
    with pytest.raises(ConfigError, match=f"'{missing}'; install it with"):
        open_vad(config)


def test_a_model_that_is_not_there_stops_the_program(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no VAD model .*none\.onnx"):
        OnnxVad(tmp_path / "none.onnx", 0.5)


def test_a_file_that_is_no_model_stops_the_program(tmp_path: Path) -> None:
    (tmp_path / "vad.onnx").write_text("hello")
    with pytest.raises(ConfigError, match="is no ONNX model"):
        OnnxVad(tmp_path / "vad.onnx", 0.5)


def test_a_model_with_other_inputs_is_refused_by_their_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has inputs h, input, sr; a VAD must have input, state and sr"):
        OnnxVad(write_onnx_vad(tmp_path / "vad.onnx", ("input", "h", "sr")), 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frame_ms": 17}, "takes 10, 20 or 30 ms"),
        ({"kind": "onnx", "path": "x", "frame_ms": 30}, "takes 32 ms"),
        ({"kind": "onnx", "frame_ms": 32}, "needs its model file"),
    ],
)
def test_settings_that_do_not_fit_the_kind_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VadConfig.model_validate(settings)


def test_no_vad_takes_all_for_speech() -> None:
    assert AlwaysVoiced().is_voiced(np.zeros(480, np.float32))
