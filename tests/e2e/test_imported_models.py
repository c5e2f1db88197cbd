"""Models as sherpa-onnx publishes them, as a user has them: imported, served, spoken to."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import QUERIES, ServerProcess, voxloop

from voxloop_cloud.sherpa_testing import tiny_offline_model, tiny_streaming_model


def run(*arguments: object) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(voxloop(*arguments), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def replayed(server: ServerProcess, folder: Path) -> list[dict[str, Any]]:
    """What the server made of two clips that were sent at once."""
    clips = [QUERIES / "timer.flac", QUERIES / "weather.flac"]
    run("replay", *clips, "--insecure", "--server", server.address, "--report", folder / "report.json")
    utterances: list[dict[str, Any]] = json.loads((folder / "report.json").read_text())["utterances"]
    return utterances


@pytest.mark.parametrize("make", [tiny_streaming_model, tiny_offline_model])
def test_an_imported_model_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]
) -> None:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(tmp_path / "store"))
    assert "serve --bundle public" in run("models", "import", make(tmp_path / "model"), "--name", "public")
    server = ServerProcess(Path("public"))
    server.start()
    try:
        utterances = replayed(server, tmp_path)
    finally:
        code = server.terminate()
    assert code == 0
    assert [utterance["error"] for utterance in utterances] == [None, None]
    assert all(len(utterance["text"].split()) > 1 for utterance in utterances)
    assert all("public 1" in utterance["segments"][0]["provenance"] for utterance in utterances)
