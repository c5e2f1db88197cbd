"""`voxloop models import` of models that are no bundles yet: what is taken, what is said, what is refused."""

import hashlib
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from voxloop_cloud.bundle import Bundle, load_bundle
from voxloop_cloud.sherpa_testing import LETTERS, quantize, tiny_offline_model, tiny_streaming_model
from voxloop_proto.cli import app

CONFIG, CONTRACT = 2, 3
"""Exit codes."""

PUBLISHED = "sherpa-onnx-nemo-streaming-fast-conformer-ctc-en-80ms"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "250")
    return tmp_path / "store"


def voxloop(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def published(folder: Path) -> Path:
    """The archive of a model as sherpa-onnx publishes it, recordings and all."""
    model = quantize(tiny_streaming_model(folder / PUBLISHED))
    (model / "test_wavs").mkdir()
    (model / "test_wavs" / "0.wav").write_bytes(b"sound")
    (model / "README.md").write_text("a model")
    archive = folder / f"{PUBLISHED}.tar.bz2"
    with tarfile.open(archive, "w:bz2") as opened:
        opened.add(model, arcname=PUBLISHED)
    return archive


def test_a_published_archive_is_imported_under_its_own_name(tmp_path: Path, store: Path) -> None:
    result = voxloop("import", published(tmp_path), "--licence", "CC BY 4.0, NVIDIA", "--language", "en")
    assert result.exit_code == 0, result.output
    assert f"imported as {PUBLISHED}; serve it with: voxloop serve --bundle {PUBLISHED}" in result.output
    config = load_bundle(store / PUBLISHED).config
    assert (config.name, config.version, config.language, config.licence) == (PUBLISHED, "1", "en", "CC BY 4.0, NVIDIA")
    assert config.model.quantization == "int8-dynamic"
    listed = voxloop("list").output
    for shown in (PUBLISHED, "streaming", "CC BY 4.0, NVIDIA"):
        assert shown in listed
    assert voxloop("verify", PUBLISHED).output.startswith(f"ok: {PUBLISHED} 1, streaming, ")
    assert [path.name for path in store.iterdir()] == [PUBLISHED]


def test_a_published_archive_is_fetched(tmp_path: Path, store: Path) -> None:
    archive = published(tmp_path)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    result = voxloop("fetch", archive.as_uri(), "--sha256", digest, "--licence", "CC BY 4.0")
    assert result.exit_code == 0, result.output
    assert load_bundle(store / PUBLISHED).config.licence == "CC BY 4.0"


def test_a_file_is_imported_with_tokens_from_elsewhere(tmp_path: Path, store: Path) -> None:
    folder = tiny_offline_model(tmp_path / "some model", tokens=LETTERS)
    (folder / "tokens.txt").rename(tmp_path / "letters.txt")
    result = voxloop("import", folder / "model.onnx")
    assert result.exit_code == CONFIG
    assert "has no tokens.txt beside it" in result.output
    result = voxloop("import", folder / "model.onnx", "--tokens", tmp_path / "letters.txt", "--version", "2.1")
    assert result.exit_code == 0, result.output
    assert "imported as some-model" in result.output
    assert voxloop("verify", "some-model").output.startswith("ok: some-model 2.1, offline, ")
    listed = voxloop("list").output
    for shown in ("offline", "not said", "und"):
        assert shown in listed


def test_a_name_that_is_taken_or_not_allowed_is_refused(tmp_path: Path, store: Path) -> None:
    folder = tiny_offline_model(tmp_path / "model")
    assert voxloop("import", folder, "--name", "mine").exit_code == 0
    for name in ("mine", "default", "../evil"):
        assert voxloop("import", folder, "--name", name).exit_code == CONFIG
    assert [path.name for path in store.iterdir()] == ["mine"]


def test_a_model_that_cannot_be_served_leaves_nothing_behind(tmp_path: Path, store: Path) -> None:
    folder = tiny_offline_model(tmp_path / "model")
    (folder / "tokens.txt").write_text("a 0\n<blk> 1\n")
    result = voxloop("import", folder)
    assert result.exit_code == CONTRACT
    assert "they are not of one model: give the right --tokens" in result.output
    result = voxloop("import", tiny_offline_model(tmp_path / "other"), "--version", "not allowed")
    assert result.exit_code == CONFIG
    assert "version: String should match pattern" in result.output
    assert list(store.iterdir()) == []


def test_what_is_neither_bundle_nor_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("hello")
    for source, message in (
        (tmp_path / "nowhere", "is no file and no folder; a bundle has SHA256SUMS, a model"),
        (tmp_path / "folder", "has notes.txt; a bundle has SHA256SUMS, a model as sherpa-onnx publishes one"),
        (tmp_path / "folder" / "notes.txt", "is no whole .tar.gz, .tar.bz2 or .zip"),
    ):
        result = voxloop("import", source)
        assert result.exit_code in (CONFIG, CONTRACT)
        assert message in result.output


def test_a_bundle_is_not_told_what_it_is(bundle: Bundle) -> None:
    result = voxloop("import", bundle.path, "--licence", "mine")
    assert result.exit_code == CONFIG
    assert "is a bundle, which says itself what it is" in result.output
