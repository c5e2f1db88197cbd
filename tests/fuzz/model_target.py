"""ONNX files as somebody made them, tried where a crash of native code harms nobody: in a process of its own."""

import atexit
import select
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from tests.fuzz.choices import Choices, edited, read_edits
from tests.fuzz.files import scratch
from tests.fuzz.model_worker import FINE, REFUSED
from tests.fuzz.target import FuzzTarget

from voxloop_cloud.bundle import MODEL_FILE, write_checksums
from voxloop_cloud.testing import tiny_bundle

_MOST_EDITS = 4
_MOST_S = 20.0


def run(data: bytes) -> None:
    """A model is opened and tried, or refused with a ContractError. It neither hangs nor kills its process."""
    place = _good_bundle()
    content = edited((scratch() / MODEL_FILE).read_bytes(), read_edits(Choices(data), _MOST_EDITS))
    (place / MODEL_FILE).write_bytes(content)
    write_checksums(place)
    said = _worker().try_out()
    assert said in (FINE, REFUSED), said or "the process died"


class _Worker:
    """A process that tries models, and its replacement when one kills it."""

    def __init__(self, place: Path) -> None:
        self._command = [sys.executable, "-m", "tests.fuzz.model_worker", str(place)]
        self._process = self._start()

    def try_out(self) -> str:
        """What became of the model; empty if the process died of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], _MOST_S)[0]:
            raise AssertionError(f"trying a model took over {_MOST_S} s")
        said = self._process.stdout.readline().strip()
        if not said:
            self.stop()
            self._process = self._start()
        return said

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def _start(self) -> subprocess.Popen[str]:
        root = Path(__file__).parents[2]
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)


@lru_cache(1)
def _worker() -> _Worker:
    worker = _Worker(_good_bundle())
    atexit.register(worker.stop)
    return worker


@lru_cache(1)
def _good_bundle() -> Path:
    path = scratch() / "tiny"
    tiny_bundle(path)
    shutil.copy(path / MODEL_FILE, scratch() / MODEL_FILE)
    return path


def _seeds() -> list[bytes]:
    """No edit; and one at each of some places."""
    return [b""] + [(place * 997).to_bytes(3, "little") + b"\1\1\377" for place in range(16)]


MODEL = FuzzTarget("model", "ONNX files of a bundle, in a process of their own", _seeds, run, most_s=30)
