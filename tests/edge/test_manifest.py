"""Clips from files, folders and manifests, and errors that name the line."""

import json
import os
from pathlib import Path

import pytest

from voxloop_edge.manifest import read_clips
from voxloop_proto.errors import ConfigError, DataError


def manifest(folder: Path, *rows: object, name: str = "test.jsonl") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def audio(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_row_keeps_its_text_speaker_and_tags(tmp_path: Path) -> None:
    audio(tmp_path / "a.wav")
    row = {
        "id": "x",
        "audio": "a.wav",
        "text": "go left",
        "speaker": "s1",
        "set": "demo",
        "duration_s": 2,
        "gone": None,
    }
    (clip,) = read_clips([manifest(tmp_path, row, "")])
    assert (clip.id, clip.audio, clip.text, clip.speaker) == ("x", tmp_path / "a.wav", "go left", "s1")
    assert clip.tags == {"set": "demo", "duration_s": 2.0}


def test_audio_may_be_named_from_the_folder_above(tmp_path: Path) -> None:
    there = audio(tmp_path / "set" / "test" / "a.opus")
    (clip,) = read_clips([manifest(tmp_path / "set", {"audio": "set/test/a.opus"})])
    assert clip.audio.resolve() == there
    assert (clip.id, clip.text, clip.speaker) == ("a", None, None)


@pytest.mark.parametrize(("row", "text"), [({"text": ""}, None), ({"text": "", "split": "noise"}, ""), ({}, None)])
def test_no_text_means_unknown_except_in_noise(tmp_path: Path, row: dict[str, str], text: str | None) -> None:
    audio(tmp_path / "a.wav")
    (clip,) = read_clips([manifest(tmp_path, {"audio": "a.wav", **row})])
    assert clip.text == text


def test_a_folder_is_searched_in_depth_and_in_order(tmp_path: Path) -> None:
    for name in ("b/2.WAV", "a.flac", "b/1.mp3", "notes.txt"):
        audio(tmp_path / name)
    assert [clip.id for clip in read_clips([tmp_path])] == ["a", "b/1", "b/2"]


def test_ids_of_files_are_made_unique(tmp_path: Path) -> None:
    files = [audio(tmp_path / name / "a.wav") for name in ("x", "y", "z")]
    assert [clip.id for clip in read_clips(files)] == ["a", "a-2", "a-3"]


def test_files_that_differ_only_in_suffix_are_both_kept(tmp_path: Path) -> None:
    audio(tmp_path / "a.wav")
    audio(tmp_path / "a.flac")
    assert [clip.id for clip in read_clips([tmp_path])] == ["a", "a-2"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], r"test\.jsonl:1 is not JSON"),
        (["[1]"], r"test\.jsonl:1 is a list"),
        ([{"id": "x"}], r"test\.jsonl:1: no 'audio'"),
        ([{"audio": "a.wav"}, {"audio": 3}], r"test\.jsonl:2: audio is 3; it must be text"),
        ([{"audio": "a.wav", "id": "x"}, {"audio": "a.wav", "id": "x"}], r":2: id 'x' is already in line 1"),
        ([{"audio": "a.wav", "words": []}], r":1: words is a list; a tag must be text or a number"),
        ([{"audio": "a.wav"}, {"audio": "no.wav", "id": "y"}], r"1 of 2 audio files .* line 2: no\.wav"),
        (
            ['{"audio": "a.wav"}', '{"audio": "a.wav", "id": "y", "snr": NaN}'],
            r":2: snr is nan; a number must be finite",
        ),
        ([{"audio": "a.wav", "snr": 10**400}], r":1: snr is inf; a number must be finite"),
        ([], "has no rows"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(tmp_path: Path, rows: list[object], message: str) -> None:
    audio(tmp_path / "a.wav")
    with pytest.raises(DataError, match=message):
        read_clips([manifest(tmp_path, *rows)])


def test_a_boolean_tag_is_a_word(tmp_path: Path) -> None:
    audio(tmp_path / "a.wav")
    (clip,) = read_clips([manifest(tmp_path, {"audio": "a.wav", "noisy": True, "far": False})])
    assert clip.tags == {"noisy": "true", "far": "false"}


def test_a_name_that_is_not_utf8_gets_an_id_that_can_be_printed(tmp_path: Path) -> None:
    audio(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    (clip,) = read_clips([tmp_path])
    assert clip.id == "caf\\xe9"
    assert clip.audio.is_file()


def test_half_a_character_in_a_manifest_can_be_printed(tmp_path: Path) -> None:
    audio(tmp_path / "a.wav")
    (clip,) = read_clips([manifest(tmp_path, {"audio": "a.wav", "id": "\ud800", "kind": "\ud800"})])
    assert (clip.id, clip.tags) == ("\\ud800", {"kind": "\\ud800"})


def test_two_manifests_may_not_share_an_id(tmp_path: Path) -> None:
    audio(tmp_path / "a.wav")
    first, second = (manifest(tmp_path, {"audio": "a.wav"}, name=name) for name in ("1.jsonl", "2.jsonl"))
    with pytest.raises(DataError, match=r"2\.jsonl: id 'a' is already that of"):
        read_clips([first, second])


def test_a_source_that_is_not_there_is_the_operators_to_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file or folder"):
        read_clips([tmp_path / "none"])


def test_a_folder_without_audio_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no audio"):
        read_clips([tmp_path])
