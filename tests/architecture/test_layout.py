"""Rules of the layout that no linter knows: layers, lengths, names, fresh code, folders that explain themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("proto", "edge", "cloud", "training")
GENERATED = ROOT / "proto" / "voxloop_proto" / "v1"
MAX_LINES = 400
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler", "misc"}

PACKAGES = [ROOT / name / f"voxloop_{name}" for name in SOURCE_ROOTS]
SOURCES = [file for package in PACKAGES for file in sorted(package.rglob("*.py")) if GENERATED not in file.parents]


def relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_layers_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not (ROOT / ".venv-proto").exists(), reason="scripts/check makes the generator and does the same")
def test_generated_code_is_fresh() -> None:
    script = ROOT / "scripts" / "proto"
    done = subprocess.run([script, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", SOURCES, ids=relative)
def test_no_file_grows_too_long(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines < MAX_LINES, f"{lines} lines; look for the missing noun"


def test_every_file_is_named_by_what_it_holds() -> None:
    tests = [file for file in (ROOT / "tests").rglob("*.py")]
    empty = [relative(file) for file in SOURCES + tests if file.stem.split("_")[-1] in EMPTY_NAMES]
    assert empty == []


@pytest.mark.parametrize("file", SOURCES, ids=relative)
def test_every_file_begins_with_what_it_is_for(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith('"""'), "a docstring is missing at the top"


@pytest.mark.parametrize("name", SOURCE_ROOTS)
def test_a_source_root_holds_one_package_and_nothing_else_importable(name: str) -> None:
    packages = [found.name for found in (ROOT / name).iterdir() if (found / "__init__.py").exists()]
    assert packages == [f"voxloop_{name}"]
    assert list((ROOT / name).glob("*.py")) == []


def test_no_package_is_left_out_of_the_wheel_and_the_layers() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in SOURCE_ROOTS:
        assert f'"{name}/voxloop_{name}"' in text
        assert text.count(f'"voxloop_{name}') >= 2
