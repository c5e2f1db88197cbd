"""Which clips to send: from audio files, folders of them, and JSONL manifests with transcripts."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloop_proto.errors import ConfigError, DataError

MANIFEST_SUFFIXES = frozenset({".jsonl", ".ndjson"})
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".opus", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
"""Names of the files that a folder is searched for."""

_OWN_FIELDS = frozenset({"id", "audio", "text", "speaker"})
_NOISE_SPLIT = "noise"
_MOST_NAMED = 5  # bad paths that an error names; the rest are counted


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio file and what is known of it.

    text: what is said in it; "" for a clip without words, None if nobody has written it down.
    tags: all else that the manifest says, such as set, split or accuracy_score: slices for the report.
    """

    id: str
    audio: Path
    text: str | None
    speaker: str | None
    tags: Mapping[str, str | float]


def printable(name: str | Path) -> str:
    """A name as text that any terminal or JSON file takes: bytes of a file name that are no UTF-8 become escapes."""
    text = os.fspath(name)
    try:
        return os.fsencode(text).decode(errors="backslashreplace")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON may hold and no file name
        return text.encode(errors="backslashreplace").decode()


def read_clips(sources: Sequence[Path]) -> list[Clip]:
    """The clips of all sources, in order; each source is an audio file, a folder (searched in depth) or a manifest.

    Ids are unique: files of one name get a suffix; in manifests a repeated id is an error.

    Raises ConfigError for a source that is not there, DataError that names the line for a manifest that is wrong.
    """
    clips: dict[str, Clip] = {}
    for source in sources:
        for clip in _read_source(source):
            unique = clip if clip.id not in clips else _rename(clip, clips, source)
            clips[unique.id] = unique
    return list(clips.values())


def _read_source(source: Path) -> list[Clip]:
    if source.is_dir():
        return _read_folder(source)
    if not source.is_file():
        raise ConfigError(f"no file or folder {source}; give audio files, folders of them or JSONL manifests")
    return _read_manifest(source) if source.suffix.lower() in MANIFEST_SUFFIXES else [_clip_of(source, source.stem)]


def _clip_of(audio: Path, clip_id: str) -> Clip:
    return Clip(printable(clip_id), audio, None, None, {})


def _rename(clip: Clip, others: Mapping[str, Clip], source: Path) -> Clip:
    if source.suffix.lower() in MANIFEST_SUFFIXES and source.is_file():
        raise DataError(f"{source}: id {clip.id!r} is already that of {others[clip.id].audio}; ids must be unique")
    number = 2
    while f"{clip.id}-{number}" in others:
        number += 1
    return _clip_of(clip.audio, f"{clip.id}-{number}")


def _read_folder(folder: Path) -> list[Clip]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"{folder} holds no audio; files ending in {', '.join(sorted(AUDIO_SUFFIXES))} are looked for")
    return [_clip_of(path, path.relative_to(folder).with_suffix("").as_posix()) for path in files]


def _read_manifest(manifest: Path) -> list[Clip]:
    clips: list[Clip] = []
    line_of_id: dict[str, int] = {}
    missing: list[str] = []
    for line, row in _rows(manifest):
        clip = _parse_row(row, f"{manifest}:{line}", manifest.parent)
        if clip.id in line_of_id:
            raise DataError(
                f"{manifest}:{line}: id {clip.id!r} is already in line {line_of_id[clip.id]}; ids must be unique"
            )
        line_of_id[clip.id] = line
        if not clip.audio.is_file():
            missing.append(f"line {line}: {row['audio']}")
        clips.append(clip)
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise DataError(
            f"{manifest}: {len(missing)} of {len(clips)} audio files are neither below {manifest.parent} "
            f"nor below the folder above it: {'; '.join(missing[:_MOST_NAMED])}{more}"
        )
    if not clips:
        raise DataError(f"{manifest} has no rows; write one JSON object per line, with at least 'audio'")
    return clips


def _rows(manifest: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with manifest.open("rb") as file:
        for line, data in enumerate(file, start=1):
            if not data.strip():
                continue
            try:
                row = json.loads(data)
            except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, thousands of brackets
                raise DataError(f"{manifest}:{line} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{manifest}:{line} is a {type(row).__name__}; each line must be a JSON object")
            yield line, row


def _parse_row(row: dict[str, object], where: str, folder: Path) -> Clip:
    audio = _text_field(row, "audio", where)
    if not audio:
        raise DataError(f"{where}: no 'audio'; name the audio file, relative to the manifest or the folder above it")
    path = folder / audio
    if not path.is_file() and (above := folder.parent / audio).is_file():
        path = above
    text = _text_field(row, "text", where)
    if text == "" and row.get("split") != _NOISE_SPLIT:
        text = None  # sets without transcripts say "", which must not count as "no words were spoken"
    speaker = _text_field(row, "speaker", where)
    return Clip(_text_field(row, "id", where) or printable(Path(audio).stem), path, text, speaker, _tags(row, where))


def _text_field(row: dict[str, object], name: str, where: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {name} is {value!r}; it must be text")
    return value if value is None or name == "audio" else printable(value)


def _tags(row: dict[str, object], where: str) -> dict[str, str | float]:
    tags: dict[str, str | float] = {}
    for name, value in row.items():
        if name in _OWN_FIELDS or value is None:
            continue
        tags[printable(name)] = _tag(value, f"{where}: {printable(name)}")
    return tags


def _tag(value: object, where: str) -> str | float:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return printable(value)
    if not isinstance(value, float | int):
        raise DataError(f"{where} is a {type(value).__name__}; a tag must be text or a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{where} is {number}; a number must be finite, or leave the tag out")
    return number
