import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.checksums import write_checksums
from voxloop_cloud.recognizer import Recognizer
from voxloop_proto.audio import level_dbfs
from voxloop_proto.errors import ConfigError, DataError, ModelError
from voxloop_training.commands.export import export
from voxloop_training.export.audit import audit_of
from voxloop_training.export.bundle_scores import score_bundle
from voxloop_training.export.onnx_file import write_int8, write_onnx
from voxloop_training.export.parity import ParityConfig, largest_differences
from voxloop_training.export.renewed_bundle import renew_bundle
from voxloop_training.export.static_int8 import calibration_clips
from voxloop_training.features import Fbank
from voxloop_training.model import ConformerCtc
from voxloop_training.peers import Peers
from voxloop_training.recipe import Recipe
from voxloop_training.trainer import Trainer
from voxloop_training.weights import load_model


@pytest.fixture
def files(small_model: ConformerCtc, tmp_path: Path) -> tuple[Path, Path]:
    full, small = tmp_path / "full.onnx", tmp_path / "int8.onnx"
    write_onnx(small_model, 8, full)
    write_int8(full, small)
    return full, small


def test_onnx_and_streaming_say_what_the_model_says(small_model: ConformerCtc, files: tuple[Path, Path]) -> None:
    differences = largest_differences(small_model, *files, chunk_frames=8)
    assert differences["streaming_to_whole"] < 1e-4
    assert differences["onnx_to_torch"] < 1e-3
    assert differences["int8_to_torch"] < 0.5


def test_the_file_says_how_to_feed_it_and_nothing_of_where_it_was_made(files: tuple[Path, Path]) -> None:
    for path in files:
        model = onnx.load(path)
        properties = {item.key: item.value for item in model.metadata_props}
        assert properties["window_size"] == "35"
        assert properties["chunk_shift"] == "32"
        assert properties["subsampling_factor"] == "2"
        assert properties["vocab_size"] == "28"
        assert [item.name for item in model.graph.input][:2] == ["audio_signal", "length"]
        assert b".py" not in model.SerializeToString()


def test_no_step_works_on_weights_alone(files: tuple[Path, Path]) -> None:
    full, small = (onnx.load(path).graph for path in files)
    for graph in (full, small):
        constants = {tensor.name for tensor in graph.initializer}
        wasted = [node.op_type for node in graph.node if node.input and constants.issuperset(node.input)]
        assert wasted == []
    weights = {tensor.name for tensor in small.initializer}
    assert not [node.name for node in small.node if node.op_type == "MatMul" and weights.intersection(node.input)]


def test_the_cache_of_keys_and_values_may_be_written_in_place(
    small_model: ConformerCtc, files: tuple[Path, Path]
) -> None:
    """Given the same buffer as input and output, onnxruntime writes only the step's own frames."""
    session = onnxruntime.InferenceSession(files[0], providers=["CPUExecutionProvider"])
    inputs = [item.name for item in session.get_inputs()]
    outputs = [item.name for item in session.get_outputs()]
    copied = [tensor.numpy() for tensor in small_model.start(2)]
    kept = [cache.copy() for cache in copied]
    for signal in np.random.default_rng(3).normal(-6, 3, (5, 2, 80, 35)).astype(np.float32):
        length = np.full(2, 35, np.int64)
        expected, _, *copied = session.run(None, dict(zip(inputs, [signal, length, *copied], strict=True)))
        binding = session.io_binding()
        for name, array in zip(inputs, [signal, length, *kept], strict=True):
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name in outputs:
            binding.bind_output(name)
        ring = kept[0]
        binding.bind_output(outputs[2], "cpu", 0, ring.dtype, ring.shape, ring.ctypes.data)
        session.run_with_iobinding(binding)
        found, _, _, *others = binding.copy_outputs_to_cpu()
        kept = [ring, *others]
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(ring, copied[0])


@pytest.fixture
def bundle(recipe: Recipe, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Trainer(recipe, tmp_path / "run", corpus, Peers(0, 1)).run()
    monkeypatch.setenv("VOXLOOP_SHARED", str(corpus.parent))
    export(tmp_path / "run", tmp_path / "bundle", average=2, test=[corpus / "tones/test.jsonl"], force=True)
    return tmp_path / "bundle"


def test_an_exported_run_says_where_it_comes_from(bundle: Path, tmp_path: Path) -> None:
    audit = json.loads((bundle / "audit.json").read_text())
    assert audit["gates"]["onnx_equals_torch"]
    assert set(audit["sets"]) == {"tones/dev", "tones/test"}
    reference = json.loads((bundle / "reference.json").read_text())
    assert sum(reference["metrics"]["duration_s"]["counts"]) == reference["clips"] == 16
    model = load_model(sorted((tmp_path / "run/checkpoints").glob("step-*.pt"))[-2:])
    config = tomllib.loads((bundle / "bundle.toml").read_text())
    assert config["model"]["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert config["chunk"] == {"window_frames": 35, "shift_frames": 32, "subsampling_factor": 2, "look_ahead_ms": 355.0}


def test_a_renewed_bundle_says_the_same_and_whose_figures_it_shows(bundle: Path, tmp_path: Path) -> None:
    (bundle / "MODEL_CARD.md").write_text("# voxloop-en-small 0.1.0\n\nMeasured on a machine.\n")
    write_checksums(bundle)
    model = load_model(sorted((tmp_path / "run/checkpoints").glob("step-*.pt"))[-2:])
    with pytest.raises(ConfigError, match="int8-static; name training clips with --calibrate"):
        renew_bundle(bundle, tmp_path / "renewed", model, "0.1.1")
    renew_bundle(bundle, tmp_path / "renewed", model, "0.1.1", [tmp_path / "data/tones/train.jsonl"])
    old, new = (load_bundle(path) for path in (bundle, tmp_path / "renewed"))
    assert (new.config.version, new.config.decoder) == ("0.1.1", old.config.decoder)
    audit = json.loads((new.path / "audit.json").read_text())
    assert audit["scores_measured_with"] == "0.1.0"
    assert audit["sets"] == json.loads((bundle / "audit.json").read_text())["sets"]
    measured = "Measured as voxloop-en-small 0.1.0, the same weights in another graph, on a machine."
    assert (new.path / "MODEL_CARD.md").read_text() == f"# voxloop-en-small 0.1.1\n\n{measured}\n"
    window = np.random.default_rng(4).normal(-6, 3, (1, 35, 80)).astype(np.float32)
    before, after = (Recognizer(each) for each in (old, new))
    np.testing.assert_allclose(after.step([after.start()], window)[0], before.step([before.start()], window)[0])
    with pytest.raises(ConfigError, match="is there already"):
        renew_bundle(bundle, tmp_path / "renewed", model, "0.1.2")


def test_an_audit_scores_every_clip_and_slice(bundle: Path, corpus: Path) -> None:
    [scores] = score_bundle(Recognizer(load_bundle(bundle)), [corpus / "tones/dev.jsonl"]).values()
    assert scores["clips"] == 4
    assert scores["words"] == 4
    assert sum(figures["words"] for figures in scores["slices"]["pace"].values()) == 4
    assert "speaker" not in scores["slices"]


def test_an_audit_fails_when_int8_costs_too_many_words() -> None:
    differences = {"onnx_to_torch": 0.0, "streaming_to_whole": 0.0, "int8_to_torch": 0.1}
    audit = audit_of(ParityConfig(), differences, {"a": {"wer": 0.10}}, {"a": {"wer": 0.12}})
    assert not audit["passed"]
    assert not audit["gates"]["int8_keeps_wer"]


def test_a_bundle_that_fails_its_audit_is_an_error(
    recipe: Recipe, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(recipe, tmp_path / "run", corpus, Peers(0, 1)).run()
    monkeypatch.setenv("VOXLOOP_SHARED", str(corpus.parent))
    monkeypatch.setattr(ParityConfig.model_fields["onnx_limit"], "default", 0.0)
    ParityConfig.model_rebuild(force=True)
    with pytest.raises(ModelError, match="does not pass its audit"):
        export(tmp_path / "run", tmp_path / "bundle", average=1)


def test_no_folder_but_a_bundles_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="something else than a bundle"):
        export(tmp_path / "run", tmp_path)


def test_the_average_of_checkpoints_is_their_mean(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    Trainer(recipe, tmp_path / "run", corpus, Peers(0, 1)).run()
    paths = sorted((tmp_path / "run/checkpoints").glob("step-*.pt"))[-2:]
    first, second = (load_model([path]).head.weight for path in paths)
    torch.testing.assert_close(load_model(paths).head.weight, (first + second) / 2)


def test_features_of_training_fit_the_model(small_model: ConformerCtc) -> None:
    features = Fbank()(torch.randn(1, 16_000))
    assert torch.isfinite(small_model(features, 8)[0]).all()


def test_an_exported_bundle_says_the_same_of_a_stream_in_any_company(bundle: Path) -> None:
    """With fixed scales not even a far louder neighbour moves a bit."""
    recognizer = Recognizer(load_bundle(bundle))
    assert recognizer.bundle.config.model.quantization == "int8-static"
    assert recognizer.exact_batch is None
    windows = np.random.default_rng(5).normal(-6, 3, (3, 35, 80)).astype(np.float32)
    windows[1] += 9.0
    alone = [recognizer.step([recognizer.start()], window[None])[0][0] for window in windows]
    together, _ = recognizer.step([recognizer.start()] * 3, windows)
    np.testing.assert_array_equal(together, np.stack(alone))


def test_scales_come_from_clips_at_the_level_of_devices(corpus: Path) -> None:
    clips = list(calibration_clips([corpus / "tones/train.jsonl"], target_dbfs=-23.0, clips=5))
    assert len(clips) == 5
    assert [round(level_dbfs(pcm)) for pcm in clips] == [-23] * 5
    again = calibration_clips([corpus / "tones/train.jsonl"], target_dbfs=-23.0, clips=5)
    assert all(np.array_equal(one, other) for one, other in zip(clips, again, strict=True))
    (corpus / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="has no rows"):
        list(calibration_clips([corpus / "empty.jsonl"], -23.0))
