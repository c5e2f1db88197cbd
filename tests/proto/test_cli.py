"""The command: lazy, and clear about what is missing."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from typer.testing import CliRunner

from voxloop_proto import __version__
from voxloop_proto.cli import app

# `import grpc` itself imports the empty packages grpc_health and grpc.aio: what serves lies below them.
HEAVY = {"torch", "torchaudio", "lhotse", "onnxruntime", "numpy", "soundfile", "sounddevice", "soxr", "webrtcvad"} | {
    "grpc_health.v1", "grpc_reflection.v1alpha", "voxloop_edge", "voxloop_cloud", "voxloop_training"
}  # fmt: skip
COMMANDS = entry_points(group="voxloop.commands")

# Runs the command in a process in which some libraries cannot be imported.
BLOCKED = """
import sys
blocked, sys.argv = set(sys.argv[1].split(",")), ["voxloop", *sys.argv[2:]]
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from voxloop_proto.cli import main
main()
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from voxloop_proto.cli import app\n"
        "print(json.dumps([CliRunner().invoke(app, ['--help']).exit_code, sorted(sys.modules)]))"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    exit_code, modules = json.loads(done.stdout)
    assert exit_code == 0
    assert HEAVY.intersection(modules) == set()


def test_help_lists_every_command() -> None:
    listed = CliRunner().invoke(app, ["--help"]).output
    missing = [point.name for point in COMMANDS if f"\n  {point.name}" not in listed]
    assert missing == []


def test_every_command_says_in_the_list_what_it_is_for() -> None:
    lines = CliRunner().invoke(app, ["--help"]).output.split("Commands:")[1].splitlines()
    described = {line.split()[0] for line in lines if len(line.split()) > 1 and line.startswith("  ")}
    assert {point.name for point in COMMANDS} <= described


def test_the_version_is_the_package_s() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"voxloop {__version__}\n"


def test_a_command_that_does_not_exist_is_named() -> None:
    found = CliRunner().invoke(app, ["lissen"])
    assert found.exit_code == 2
    assert "lissen" in found.output


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("listen", "voxloop_edge", "edge"),
        ("serve", "voxloop_cloud", "cloud"),
        ("train", "voxloop_training", "training"),
    ],
)
def test_a_missing_extra_is_named(command: str, package: str, extra: str) -> None:
    done = run_python(BLOCKED, package, command, "--help")
    assert done.returncode == 2, done.stdout
    assert f"'voxloop {command}' needs the library '{package}'" in done.stderr
    assert f"pip install 'voxloop[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", sorted(point.name for point in COMMANDS))
def test_without_its_libraries_a_command_helps_or_names_its_extra(command: str) -> None:
    done = run_python(BLOCKED, "torch,torchaudio,lhotse,onnxruntime,soxr,soundfile,webrtcvad", command, "--help")
    named = done.returncode == 2 and "pip install 'voxloop[" in done.stderr
    assert done.returncode == 0 or named, done.stderr
    assert "Traceback" not in done.stderr
