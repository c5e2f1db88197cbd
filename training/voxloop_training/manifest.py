"""The JSONL manifests of the data sets: one row per clip."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxloop_proto.errors import DataError


class Row(BaseModel):
    """One clip; what the manifest says beyond the known fields is a tag."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    audio: str = Field(description="path relative to the data root")
    duration_s: float = Field(gt=0, description="length in seconds")
    speaker: str
    text: str = Field(description="lower case, a-z, apostrophe and space; empty where there are no words")
    set: str
    split: str

    @property
    def tags(self) -> dict[str, object]:
        return dict(self.model_extra or {})


def read_rows(manifest: Path) -> list[Row]:
    """All rows of a manifest; raises DataError with file and line for a row that does not fit."""
    if not manifest.is_file():
        raise DataError(f"no manifest at {manifest}")
    lines = manifest.read_text(encoding="utf-8").splitlines()
    return [_parse(line, manifest, number) for number, line in enumerate(lines, start=1) if line.strip()]


def _parse(line: str, manifest: Path, number: int) -> Row:
    try:
        return Row.model_validate(json.loads(line))
    except (ValidationError, json.JSONDecodeError) as error:
        raise DataError(f"{manifest}:{number}: {error}") from error
