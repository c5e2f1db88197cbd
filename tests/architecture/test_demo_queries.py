"""The demo's recordings are what their manifest says, free to pass on, and small."""

import json
from pathlib import Path

import pytest
import soundfile

from voxloop_proto.scoring import normalize

FOLDER = Path(__file__).resolve().parents[1] / "data" / "queries"
ROWS = [json.loads(line) for line in (FOLDER / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
AUDIO = {file.name for file in FOLDER.iterdir() if file.suffix in {".flac", ".ogg"}}
MAX_BYTES = 1_500_000


def test_every_recording_is_in_the_manifest_and_every_row_has_one() -> None:
    assert sorted(row["audio"] for row in ROWS) == sorted(AUDIO)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_row_tells_the_length_and_the_normalized_text(row: dict[str, str]) -> None:
    assert soundfile.info(FOLDER / row["audio"]).duration == pytest.approx(row["duration_s"], abs=0.01)
    assert row["text"] == normalize(row["text"]) != ""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_licence_names_the_voice_of_every_recording(row: dict[str, str]) -> None:
    lines = (FOLDER / "LICENSE.md").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith(f"| {row['voice']} |")]
    assert row["id"] in line.split("|")[2].replace(",", " ").split()


def test_the_queries_show_that_any_format_goes() -> None:
    infos = [soundfile.info(FOLDER / name) for name in AUDIO]
    assert {"FLAC", "OGG"} <= {info.format for info in infos}
    assert {16_000, 44_100} <= {info.samplerate for info in infos}
    assert {1, 2} <= {info.channels for info in infos}


def test_the_queries_stay_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < MAX_BYTES
