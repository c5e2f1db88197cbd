"""Clips whose texts are known: a manifest of them, JSONL with audio and text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.errors import ConfigError, DataError


class _Row(BaseModel):
    """A line of the manifest; what else it says is of no interest here."""

    model_config = ConfigDict(frozen=True)

    audio: str = Field(min_length=1, description="file, relative to the manifest or the folder above it")
    text: str = Field(description="what is said; empty: nothing")
    id: str = ""


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A clip, and what is said in it; of 16 kHz, in any format that soundfile reads."""

    id: str
    audio: Path
    text: str

    def check(self) -> None:
        """Raises DataError if it is no sound, or of another rate."""
        try:
            found = soundfile.info(self.audio)
        except soundfile.LibsndfileError as error:
            raise DataError(f"{self.audio} cannot be read: {error}") from error
        if found.samplerate != SAMPLE_RATE_HZ or found.channels != 1:
            raise DataError(
                f"{self.audio} is of {found.samplerate} Hz with {found.channels} channels; "
                f"allowed is {SAMPLE_RATE_HZ} Hz mono"
            )

    def read(self) -> Pcm:
        """Its sound, (N,) float32 in [-1, 1]. Raises DataError if it is none, or of another rate."""
        try:
            sound, rate_hz = soundfile.read(self.audio, dtype="float32")
        except soundfile.LibsndfileError as error:
            raise DataError(f"{self.audio} cannot be read: {error}") from error
        if rate_hz != SAMPLE_RATE_HZ or sound.ndim != 1:
            raise DataError(
                f"{self.audio} is of {rate_hz} Hz and shape {sound.shape}; allowed is {SAMPLE_RATE_HZ} Hz mono"
            )
        pcm: Pcm = sound
        return pcm


def read_labelled_clips(manifest: Path) -> tuple[LabelledClip, ...]:
    """The clips of a manifest. Raises ConfigError if it is not there, DataError that names the line for a wrong one."""
    if not manifest.is_file():
        raise ConfigError(f"no manifest {manifest}; give a JSONL file with audio and text of a clip per line")
    clips = tuple(_read_rows(manifest))
    if not clips:
        raise DataError(f"{manifest} has no clips; write one JSON object per line, with audio and text")
    return clips


def _read_rows(manifest: Path) -> Iterator[LabelledClip]:
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = _Row.model_validate(json.loads(line))
        except (ValueError, RecursionError) as error:  # pydantic's is a ValueError
            raise DataError(f"{manifest}:{number}: {error}; each line is a JSON object with audio and text") from error
        yield LabelledClip(row.id or Path(row.audio).stem, _find(manifest, row.audio, number), row.text)


def _find(manifest: Path, audio: str, number: int) -> Path:
    for folder in (manifest.parent, manifest.parent.parent):
        if (folder / audio).is_file():
            return folder / audio
    raise DataError(f"{manifest}:{number}: no file {audio} below {manifest.parent} or the folder above it")
