"""Real processes: a server started as a user would start it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxloop_cloud.testing import tiny_bundle

ROOT = Path(__file__).parents[2]
QUERIES = ROOT / "tests" / "data" / "queries"


def voxloop(*arguments: object) -> list[str]:
    """The command line of a subcommand."""
    return [sys.executable, "-m", "voxloop_proto.cli", *map(str, arguments)]


class ServerProcess:
    """A `voxloop serve` that can be killed and started again on its port."""

    def __init__(self, bundle: Path, *flags: object, **settings: object) -> None:
        """settings: of the server, with two underscores for a dot, in place of its defaults."""
        self.bundle = bundle
        self._environment = {f"VOXLOOP_{name.upper()}": str(value) for name, value in settings.items()}
        self.flags = flags
        self.address = "127.0.0.1:0"
        self._process: subprocess.Popen[str]

    def start(self) -> None:
        """Starts it and waits until it listens."""
        command = voxloop(
            "serve",
            "--insecure",
            "--bundle",
            self.bundle,
            "--listen",
            self.address,
            "--log-level",
            "error",
            *self.flags,
        )
        environment = os.environ | self._environment
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._process.stdout is not None
        found = re.search(r"listening on ([^\s,]+)", self._process.stdout.readline())
        assert found is not None, "the server did not start"
        self.address = found.group(1)

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        self._process.kill()
        self._end()

    def terminate(self) -> int:
        """Asks it to end, as a supervisor would; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._end()

    @property
    def process_id(self) -> int:
        """Of the process itself; its workers are its children."""
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal and does not wait."""
        self._process.send_signal(number)

    def _end(self) -> int:
        code = self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    @property
    def is_running(self) -> bool:
        """True until it has ended."""
        return self._process.poll() is None


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random bundle: quick, and its gibberish depends on every sample."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny")).path


@pytest.fixture
def server(tiny: Path) -> Iterator[ServerProcess]:
    """A server of one's own, to be treated badly."""
    process = ServerProcess(tiny)
    process.start()
    yield process
    if process.is_running:
        process.kill()
