"""Edge, cloud and evaluation never touch torch: not when they run, and not when they are installed."""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {"torch", "torchaudio", "lhotse"}

# Imports every module of a package in a process in which torch and its like cannot be imported.
IMPORT_ALL = """
import importlib, pkgutil, sys
forbidden = set(sys.argv[2].split(","))
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in forbidden:
            raise ImportError(f"{name} was imported")
sys.meta_path.insert(0, Blocker())
package = importlib.import_module(sys.argv[1])
def fail(name):
    raise
names = [found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=fail)]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names))
"""


def required_by(name: str, extra: str) -> list[Requirement]:
    """What one distribution asks for; what isn't installed here (another system's) asks for nothing."""
    if name == "voxloop":  # the file says more than the metadata of an installation that is older than it
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return [Requirement(line) for line in project["optional-dependencies"].get(extra, project["dependencies"])]
    try:
        found = [Requirement(line) for line in requires(name) or []]
    except PackageNotFoundError:
        return []
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": extra})]


def required(extras: set[str]) -> set[str]:
    """Names of all that installing voxloop with these extras brings."""
    found: set[tuple[str, str]] = set()
    waiting = [("voxloop", extra) for extra in extras | {""}]
    while waiting:
        if (asked := waiting.pop()) not in found:
            found.add(asked)
            for requirement in required_by(*asked):
                waiting += [(canonicalize_name(requirement.name), extra) for extra in requirement.extras | {""}]
    return {name for name, _ in found}


@pytest.mark.parametrize("package", ["voxloop_proto", "voxloop_edge", "voxloop_cloud", "voxloop_training.evaluation"])
def test_every_module_can_be_imported_without_torch(package: str) -> None:
    code = [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, package, ",".join(FORBIDDEN)]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_installing_what_serves_and_measures_brings_no_torch() -> None:
    assert required({"edge", "cloud", "onnx-vad", "evaluate"}) & FORBIDDEN == set()


def test_the_search_through_requirements_does_find_torch_where_it_is() -> None:
    assert required({"training"}) >= FORBIDDEN


def test_the_search_through_requirements_looks_below_the_first_level() -> None:
    assert {"jiwer", "rapidfuzz", "grpcio", "pydantic-core"} <= required({"edge"})
