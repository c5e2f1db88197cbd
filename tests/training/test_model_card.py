"""The card of a bundle, from an evaluation by the command itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.testing import tiny_bundle
from voxloop_training.export.model_card import CARD_FILE

QUERIES = Path(__file__).parents[1] / "data/queries/queries.jsonl"


def voxloop(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voxloop_proto.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("card")
    bundle, report = tiny_bundle(folder / "bundle").path, folder / "report.json"
    ran = voxloop("evaluate", bundle, QUERIES, "--mode", "offline", "--clips", 4, "--json", report)
    assert ran.returncode == 0, ran.stderr
    return bundle, report


def test_the_card_says_what_was_measured_and_stays_part_of_the_bundle(evaluated: tuple[Path, Path]) -> None:
    bundle, report = evaluated
    ran = voxloop("card", bundle, report)
    assert ran.returncode == 0, ran.stderr
    config = load_bundle(bundle).config
    text = (bundle / CARD_FILE).read_text()
    (figures,) = json.loads(report.read_text())["sets"].values()
    assert text.startswith(f"# {config.name} {config.version}\n")
    assert f"| 4 | {100 * figures['wer']:.1f} % [" in text
    assert config.provenance.data_manifest_sha256 in text


def test_an_evaluation_of_another_bundle_is_refused(evaluated: tuple[Path, Path], tmp_path: Path) -> None:
    bundle, report = evaluated
    other = json.loads(report.read_text())
    other["system"]["version"] = "99"
    foreign = tmp_path / "foreign.json"
    foreign.write_text(json.dumps(other))
    ran = voxloop("card", bundle, foreign)
    assert ran.returncode != 0
    assert "evaluate it first" in ran.stderr


def test_what_is_no_evaluation_is_refused(evaluated: tuple[Path, Path], tmp_path: Path) -> None:
    bundle, _ = evaluated
    (tmp_path / "none.json").write_text("{}")
    ran = voxloop("card", bundle, tmp_path / "none.json")
    assert ran.returncode != 0
    assert "no report of `voxloop evaluate --json`" in ran.stderr
