"""Every way in which a bundle can be wrong has its own clear error."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from voxloop_cloud.bundle import (
    AUDIT_FILE,
    BUNDLE_FILES,
    CONFIG_FILE,
    MODEL_FILE,
    TOKENS_FILE,
    Bundle,
    default_bundle_path,
    find_bundle,
    load_bundle,
    write_checksums,
)
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.testing import tiny_bundle
from voxloop_proto.errors import ConfigError, ContractError


def change_text(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def change_model(path: Path, change: Callable[[Any], None]) -> None:
    model = onnx.load(str(path / MODEL_FILE))
    change(model)
    onnx.save(model, str(path / MODEL_FILE))
    write_checksums(path)


def set_metadata(key: str, value: str | None) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        props = {prop.key: prop.value for prop in model.metadata_props}
        del props[key]
        onnx.helper.set_model_props(model, props if value is None else {**props, key: value})

    return change


def test_a_tiny_bundle_is_right(bundle: Bundle) -> None:
    assert load_bundle(bundle.path) == bundle
    assert bundle.tokens[bundle.blank_id] == "<blk>"
    assert bundle.label == "voxloop-tiny 0.0.1"
    assert bundle.config.frame_ms == 20


def test_a_path_without_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"nowhere is not a folder; a bundle is one"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_a_missing_file_is_named(own_bundle: Bundle, name: str) -> None:
    (own_bundle.path / name).unlink()
    with pytest.raises(ContractError, match=rf"lacks {name}, which SHA256SUMS lists"):
        load_bundle(own_bundle.path)
    write_checksums(own_bundle.path)
    with pytest.raises(ContractError, match=rf"lacks {name}; a bundle has model.onnx, tokens.txt"):
        load_bundle(own_bundle.path)


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_a_changed_file_is_named(own_bundle: Bundle, name: str) -> None:
    with (own_bundle.path / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ContractError, match=rf"{name} has the SHA-256 [0-9a-f]+; SHA256SUMS promises"):
        load_bundle(own_bundle.path)


def test_a_file_that_is_not_listed_is_named(own_bundle: Bundle) -> None:
    (own_bundle.path / "notes.txt").write_text("hello")
    with pytest.raises(ContractError, match=r"has notes.txt, which SHA256SUMS does not list; remove it"):
        load_bundle(own_bundle.path)
    write_checksums(own_bundle.path)
    load_bundle(own_bundle.path)


def test_missing_checksums_are_an_error(own_bundle: Bundle) -> None:
    (own_bundle.path / "SHA256SUMS").unlink()
    with pytest.raises(ContractError, match=r"has no SHA256SUMS"):
        load_bundle(own_bundle.path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "allowed is '<64 hex digits>  <file>'"),
        (f"{'0' * 64}  ../../etc/passwd", "allowed are files right in the bundle"),
        (f"{'0' * 64}  /etc/passwd", "allowed are files right in the bundle"),
        (f"{'0' * 64}  ..", "allowed are files right in the bundle"),
        (f"{'0' * 64}  tokens.txt", "a second time"),
    ],
)
def test_a_line_of_the_checksums_that_is_wrong_is_named(own_bundle: Bundle, line: str, message: str) -> None:
    with (own_bundle.path / "SHA256SUMS").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ContractError, match=message) as caught:
        load_bundle(own_bundle.path)
    assert "line 6" in caught.value.message


def test_checksums_that_are_no_text_are_an_error(own_bundle: Bundle) -> None:
    (own_bundle.path / "SHA256SUMS").write_bytes(b"\xff\xfe")
    with pytest.raises(ContractError, match="SHA256SUMS is not text"):
        load_bundle(own_bundle.path)


def test_a_link_is_refused_though_it_points_to_the_right_thing(own_bundle: Bundle, tmp_path: Path) -> None:
    outside = tmp_path / "model.onnx"
    shutil.move(own_bundle.path / MODEL_FILE, outside)
    (own_bundle.path / MODEL_FILE).symlink_to(outside)
    with pytest.raises(ContractError, match=r"model.onnx is a symbolic link; a bundle holds plain files only"):
        load_bundle(own_bundle.path)


def test_a_folder_inside_is_refused(own_bundle: Bundle) -> None:
    (own_bundle.path / "more").mkdir()
    with pytest.raises(ContractError, match=r"more is no plain file"):
        load_bundle(own_bundle.path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", r"format = 2: Input should be 1"),
        ("format = 1", "format = ", r"is not TOML"),
        ('name = "voxloop-tiny"', 'name = "../evil"', r"name = '../evil'"),
        ('language = "en"\n', "", r"language is missing"),
        ("mel_bins = 80", "mel_bin = 80", r"features.mel_bin is not a known key"),
        ("sample_rate_hz = 16000", "sample_rate_hz = 8000", r"features.sample_rate_hz = 8000: Input should be 16000"),
        ("low_hz = 20", "low_hz = 7700", r"low_hz must be the lower one"),
        ('"kaldi-fbank"', '"mfcc"', r"features.kind = 'mfcc'"),
        ("shift_frames = 32", "shift_frames = 36", r"shift_frames 36 is more than window_frames 35"),
        ("shift_frames = 32", "shift_frames = 31", r"shift_frames 31 is no multiple of subsampling_factor 2"),
        ("target_dbfs = -23.0", "target_dbfs = 23.0", r"normalization.target_dbfs = 23.0"),
        ("before_ms = 300", "before_ms = -1", r"padding.before_ms = -1"),
        ('tokens = "characters"', 'tokens = "words"', r"tokens = 'words'"),
        (
            "[padding]",
            "[whole]\nsubsampling_factor = 2\n[padding]",
            r"has both of \[chunk\].* and \[whole\].*; allowed is one",
        ),
        (
            "mel_bins = 80",
            'mel_bins = 80\nnormalization = "per-feature"',
            r"'per-feature' in a streaming model.*'none'",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(own_bundle: Bundle, old: str, new: str, message: str) -> None:
    change_text(own_bundle.path / CONFIG_FILE, old, new)
    write_checksums(own_bundle.path)
    with pytest.raises(ContractError, match=message):
        load_bundle(own_bundle.path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a 1\n", "", r"line 2, is 'b 2'; allowed is '<token> 1'"),
        ("a 1\n", "a\n", r"line 2, is 'a'; allowed is '<token> 1'"),
        ("b 2\n", "a 2\n", r"has \['a'\] more than once"),
        ("<blk>", "<eps>", r"ends in '<eps>'; the last token must be <blk>"),
    ],
)
def test_wrong_tokens_are_named(own_bundle: Bundle, old: str, new: str, message: str) -> None:
    change_text(own_bundle.path / TOKENS_FILE, old, new)
    write_checksums(own_bundle.path)
    with pytest.raises(ContractError, match=message):
        load_bundle(own_bundle.path)


@pytest.mark.parametrize(("content", "message"), [(b"", "ends in 'nothing'"), (b"\xff 0\n", "is not UTF-8 text")])
def test_tokens_that_are_no_list_of_tokens_are_an_error(own_bundle: Bundle, content: bytes, message: str) -> None:
    (own_bundle.path / TOKENS_FILE).write_bytes(content)
    write_checksums(own_bundle.path)
    with pytest.raises(ContractError, match=message):
        load_bundle(own_bundle.path)


@pytest.mark.parametrize(("content", "message"), [("{", "is not JSON"), ("[]", "holds a list; allowed is an object")])
def test_an_audit_that_is_no_json_object_is_an_error(own_bundle: Bundle, content: str, message: str) -> None:
    (own_bundle.path / AUDIT_FILE).write_text(content)
    write_checksums(own_bundle.path)
    with pytest.raises(ContractError, match=message):
        load_bundle(own_bundle.path)


def test_a_model_that_is_no_onnx_is_an_error(own_bundle: Bundle) -> None:
    (own_bundle.path / MODEL_FILE).write_text("not a model")
    write_checksums(own_bundle.path)
    with pytest.raises(ContractError, match=r"model.onnx is not a model that onnxruntime .* can load"):
        Recognizer(load_bundle(own_bundle.path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("window_size", None, r"lacks window_size in its metadata"),
        (
            "window_size",
            "36",
            r"has window_size = 36 in its metadata, but \[chunk\] window_frames of bundle.toml is 35",
        ),
        ("chunk_shift", "30", r"has chunk_shift = 30 in its metadata, but \[chunk\] shift_frames of bundle.toml is 32"),
        ("subsampling_factor", "4", r"subsampling_factor of bundle.toml is 2"),
        ("vocab_size", "29", r"vocab_size = 29 in its metadata, but the number of lines of tokens.txt"),
        ("vocab_size", "many", r"vocab_size = 'many' in its metadata; allowed is a number above 0"),
        ("cache_last_channel_dim2", "0", r"cache_last_channel_dim2 = '0' in its metadata"),
        ("cache_last_channel_dim2", "7", r"cache_last_channel must be .* of shape \[any, 2, 7, 16\]"),
        ("cache_last_time_dim3", "9", r"cache_last_time must be .* of shape \[any, 2, 16, 9\]"),
    ],
)
def test_wrong_metadata_is_named(own_bundle: Bundle, key: str, value: str | None, message: str) -> None:
    change_model(own_bundle.path, set_metadata(key, value))
    with pytest.raises(ContractError, match=message):
        Recognizer(load_bundle(own_bundle.path))


def test_another_number_of_tokens_is_an_error(own_bundle: Bundle) -> None:
    with (own_bundle.path / TOKENS_FILE).open("r+", encoding="utf-8") as file:
        text = file.read().replace("<blk> 28\n", "? 28\n<blk> 29\n")
        file.seek(0)
        file.write(text)
    write_checksums(own_bundle.path)
    with pytest.raises(ContractError, match=r"vocab_size = 28 in its metadata, but the number of lines of tokens.txt"):
        Recognizer(load_bundle(own_bundle.path))


def rename_input(model: Any) -> None:
    model.graph.input[0].name = "x"
    for node in model.graph.node:
        node.input[:] = ["x" if name == "audio_signal" else name for name in node.input]


def drop_output(model: Any) -> None:
    del model.graph.output[-1]


def retype_output(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Cast", ["logprobs"], ["doubles"], to=onnx.TensorProto.DOUBLE))
    model.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("doubles", onnx.TensorProto.DOUBLE, ["B", "t", 29])
    )


def other_mel_bins(model: Any) -> None:
    model.graph.node.insert(0, onnx.helper.make_node("Slice", ["audio_signal", "start", "end", "axis"], ["cut"]))
    for node in list(model.graph.node)[1:]:
        node.input[:] = ["cut" if name == "audio_signal" else name for name in node.input]
    for name, value in (("start", 0), ("end", 80), ("axis", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), name))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 128


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename_input, r"has the inputs x, length, .*; allowed are audio_signal, length"),
        (drop_output, r"has 4 outputs; allowed are 5"),
        (retype_output, r"output doubles is tensor\(double\) .*; logprobs must be tensor\(float\)"),
        (other_mel_bins, r"input audio_signal is .*128.*; audio_signal must be .* of shape \[any, 80, any\]"),
    ],
)
def test_a_model_of_another_layout_is_refused(own_bundle: Bundle, change: Callable[[Any], None], message: str) -> None:
    change_model(own_bundle.path, change)
    with pytest.raises(ContractError, match=message):
        Recognizer(load_bundle(own_bundle.path))


def test_a_model_that_gives_another_number_of_frames_than_it_says_is_refused(own_bundle: Bundle) -> None:
    change_text(own_bundle.path / CONFIG_FILE, "subsampling_factor = 2", "subsampling_factor = 4")
    change_model(own_bundle.path, set_metadata("subsampling_factor", "4"))
    with pytest.raises(ContractError, match=r"\(1, 16, 29\).* promise .*\(1, 8, 29\)"):
        Recognizer(load_bundle(own_bundle.path))


def test_a_model_that_fails_on_its_own_windows_is_refused(own_bundle: Bundle) -> None:
    change_text(own_bundle.path / CONFIG_FILE, "window_frames = 35", "window_frames = 33")
    change_text(own_bundle.path / CONFIG_FILE, "shift_frames = 32", "shift_frames = 2")
    change_model(own_bundle.path, set_metadata("window_size", "3"))
    change_model(own_bundle.path, set_metadata("chunk_shift", "2"))
    change_text(own_bundle.path / CONFIG_FILE, "window_frames = 33", "window_frames = 3")
    write_checksums(own_bundle.path)
    with pytest.raises(ContractError, match=r"failed on a batch of 1"):
        Recognizer(load_bundle(own_bundle.path))


def test_a_model_with_values_that_are_not_finite_is_refused(own_bundle: Bundle) -> None:
    def spoil(model: Any) -> None:
        (bias,) = [each for each in model.graph.initializer if each.name == "out_bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(np.full(29, np.nan, np.float32), "out_bias"))

    change_model(own_bundle.path, spoil)
    with pytest.raises(ContractError, match=r"values that are not finite"):
        Recognizer(load_bundle(own_bundle.path))


def test_a_bundle_is_found_by_path_or_by_name_in_the_store(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(tmp_path))
    tiny_bundle(tmp_path / "mine")
    assert find_bundle(str(bundle.path)) == bundle.path
    assert find_bundle("mine") == tmp_path / "mine"
    with pytest.raises(ConfigError, match=r"no bundle 'yours': neither a folder nor a name in the store .* has mine"):
        find_bundle("yours")


def test_without_a_default_bundle_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("voxloop_cloud.bundle.__file__", str(tmp_path / "bundle.py"))
    with pytest.raises(ConfigError, match=r"this installation has no default bundle .* give one with --bundle"):
        find_bundle(None)


def test_the_default_bundle_is_right() -> None:
    assert find_bundle(None) == default_bundle_path()
    Recognizer(load_bundle(default_bundle_path()))
