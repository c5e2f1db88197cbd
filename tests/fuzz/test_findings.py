"""What fuzzing found, each as the smallest input that showed it."""

import lzma
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fuzz.session_target import SESSION
from tests.fuzz.settings_target import SETTINGS

from voxloop_cloud import xz_file
from voxloop_cloud.archive import unpack
from voxloop_cloud.graph import GRAPH_FILE, read_graph
from voxloop_cloud.graph_alignment import Run, align
from voxloop_cloud.graph_lexicon import GraphLexicon
from voxloop_cloud.recognizer import open_session
from voxloop_cloud.testing import tiny_bundle
from voxloop_edge.manifest import read_clips
from voxloop_proto.errors import ContractError, DataError, ModelError

GRAPH_HEAD = b"voxloop graph 1\n"


def test_the_end_of_a_failed_segment_cannot_call_up_the_transcript_of_another_again() -> None:
    SESSION.run(bytes.fromhex("df022bef4ede01ce"))


@pytest.mark.parametrize("text", [b"a = " + b"[" * 5_000, b"a = " + b"1" * 5_000, b"a." * 500 + b"a = 1"])
def test_settings_of_absurd_depth_or_length_are_refused(text: bytes) -> None:
    SETTINGS.run(b"\0" + text)
    SETTINGS.run(b"\1" + text)


@pytest.mark.parametrize(
    "line", [b'{"audio": ' + b"[" * 100_000, b'{"audio": "a.wav", "score": ' + b"1" * 5_000 + b"}"]
)
def test_manifest_lines_of_absurd_depth_or_length_are_refused(tmp_path: Path, line: bytes) -> None:
    manifest = tmp_path / "set.jsonl"
    manifest.write_bytes(line)
    with pytest.raises(DataError, match=r"set\.jsonl:1"):
        read_clips([manifest])


@pytest.mark.parametrize(
    "sizes",
    [(3, 2, 0, 0xFFFF_FFFF, 0), (3, 2, 0, 0, 0xFFFF_FFFF), (3, 2, 0, 1, 1), (3, 2, 0, 0, 0)],
    ids=["states", "arcs", "arcs that leave no state", "nothing at all"],
)
def test_a_graph_that_promises_more_than_it_has_is_refused_before_memory_is_taken(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    content = GRAPH_HEAD + struct.pack("<5I", *sizes) + bytes(14)
    (tmp_path / GRAPH_FILE).write_bytes(lzma.compress(content))
    with pytest.raises(ContractError, match="export the bundle again"):
        read_graph(tmp_path / GRAPH_FILE)


def test_a_packed_file_unpacks_within_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xz_file, "MAX_UNPACKED_BYTES", 1000)
    (tmp_path / GRAPH_FILE).write_bytes(lzma.compress(bytes(1001)))
    with pytest.raises(ContractError, match="unpacks to more than 1000 bytes"):
        read_graph(tmp_path / GRAPH_FILE)


def test_a_lexicon_that_says_a_word_otherwise_than_the_graph_fails_the_segment_alone() -> None:
    with pytest.raises(ModelError, match="one lexicon for both"):
        align([1], [Run(5, 0, 1)], GraphLexicon([("yes", ((1, 2),))]))


def method_of_zip(number: int) -> Callable[[bytes], bytes]:
    """Writes another method of compression into the two places where a zip of one file has it."""

    def change(content: bytes) -> bytes:
        central = content.index(b"PK\1\2")
        method = struct.pack("<H", number)
        content = content[: central + 10] + method + content[central + 12 :]
        return content[:8] + method + content[10:]

    return change


def later_version_of_zip(content: bytes) -> bytes:
    central = content.index(b"PK\1\2")
    return content[: central + 6] + b"\xc8" + content[central + 7 :]


@pytest.mark.parametrize("change", [method_of_zip(77), later_version_of_zip], ids=["method", "version"])
def test_a_zip_that_python_cannot_read_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(tmp_path / "good.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/SHA256SUMS", "x")
    (tmp_path / "bad.zip").write_bytes(change((tmp_path / "good.zip").read_bytes()))
    with pytest.raises(ContractError, match=r"bad\.zip is no whole"):
        unpack(tmp_path / "bad.zip", tmp_path / "unpacked")


@pytest.mark.parametrize("name", ["a\0b", "a" * 300, "a/b/c"])
def test_names_that_no_file_can_have_are_refused(tmp_path: Path, name: str) -> None:
    """The third one lies in a folder that is a file."""
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("a/b" if name == "a/b/c" else "fine", "x")
        archive.writestr(name.replace("\0", "_"), "x")
    content = (tmp_path / "bad.zip").read_bytes()
    (tmp_path / "bad.zip").write_bytes(content.replace(b"a_b", b"a\0b"))
    with pytest.raises(ContractError, match=r"bad\.zip"):
        unpack(tmp_path / "bad.zip", tmp_path / "unpacked")


def test_a_zip_with_an_entry_of_no_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("x", "")
    content = (tmp_path / "bad.zip").read_bytes()
    central, name_length = content.index(b"PK\1\2"), struct.pack("<H", 0)
    content = content[: central + 28] + name_length + content[central + 30 :]
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(ContractError, match=r"bad\.zip is no whole"):
        unpack(tmp_path / "bad.zip", tmp_path / "unpacked")


def test_random_bytes_as_an_archive_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "noise.tar.gz").write_bytes(bytes(range(256)) * 8)
    with pytest.raises(ContractError) as caught:
        unpack(tmp_path / "noise.tar.gz", tmp_path / "unpacked")
    assert "\n" not in caught.value.message


def test_a_model_whose_names_are_no_text_is_refused_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_bundle(tmp_path / "bundle").path / "model.onnx"
    model.write_bytes(model.read_bytes().replace(b"audio_signal", b"audio_\xe8\xe8gnal"))
    with pytest.raises(ContractError, match="is not a model that onnxruntime"):
        open_session(model)
    assert capsys.readouterr().out == ""
