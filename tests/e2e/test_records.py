"""Utterances kept by real servers: of several workers, over restarts, with feedback from the command line."""

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import QUERIES, ServerProcess, voxloop

CONSENT = {"VOXLOOP_CONSENT__KEEP_TEXT": "true", "VOXLOOP_CONSENT__KEEP_AUDIO": "true"}
DEVICE = "replay-0"


@pytest.fixture
def server(tiny: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tiny, "--workers", 2, "--state", tmp_path / "state")
    process.start()
    yield process
    if process.is_running:
        process.terminate()


def run(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        voxloop(*arguments), capture_output=True, text=True, check=False, timeout=120, env=os.environ | environment
    )


def rows(tmp_path: Path, *columns: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(tmp_path / "state" / "voxloop.db") as connection:
        found = connection.execute(f"SELECT {', '.join(columns)} FROM utterances ORDER BY session_id, segment_id")
        return found.fetchall()


def written(tmp_path: Path, *columns: str) -> list[tuple[Any, ...]]:
    """Of a server that goes on: its rows are there a moment after the answers."""
    give_up_s = time.monotonic() + 20.0
    while not (found := rows(tmp_path, *columns)) and time.monotonic() < give_up_s:
        time.sleep(0.05)
    return found


def test_all_that_devices_said_is_kept_by_whichever_worker_heard_it(server: ServerProcess, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run("replay", QUERIES, "--server", server.address, "--insecure", "--report", report, **CONSENT)
    assert done.returncode == 0, done.stderr
    assert server.terminate() == 0
    segments = sum(len(each["segments"]) for each in json.loads(report.read_text())["utterances"])
    kept = rows(tmp_path, "text", "clip", "duration_ms", "snr_db", "feature_mean")
    assert len(kept) == segments > 0
    for text, clip, duration_ms, snr_db, feature_mean in kept:
        assert isinstance(text, str)
        assert (tmp_path / "state" / "clips" / clip).stat().st_size > duration_ms
        assert snr_db is not None
        assert feature_mean is not None


def test_feedback_is_told_from_the_command_line(server: ServerProcess, tmp_path: Path) -> None:
    one = sorted(QUERIES.glob("*.flac"))[0]
    done = run("replay", one, "--server", server.address, "--insecure", **CONSENT)
    assert done.returncode == 0, done.stderr

    def tell(*said: object, device: str = DEVICE) -> "subprocess.CompletedProcess[str]":
        return run("feedback", *said, "--server", server.address, "--insecure", VOXLOOP_DEVICE_ID=device)

    ((session_id, segment_id),) = written(tmp_path, "session_id", "segment_id")[:1]
    assert tell(session_id, segment_id, "--corrected", "as it was meant").returncode == 0
    assert rows(tmp_path, "outcome", "corrected_text")[0] == ("corrected", "as it was meant")
    journal = tmp_path / "said.jsonl"
    journal.write_text(json.dumps({"session": session_id, "segment": segment_id, "outcome": "transcript"}) + "\n")
    assert tell("--transcripts", journal, "--clicked").returncode == 0
    assert rows(tmp_path, "outcome", "corrected_text")[0] == ("clicked", None)
    anothers = tell(session_id, segment_id, "--clicked", device="attic")
    assert (anothers.returncode, "there is no segment" in anothers.stderr) == (2, True)
    for said, why in (((session_id, segment_id), "say one thing"), (("--clicked",), "which transcript?")):
        refused = tell(*said)
        assert (refused.returncode, why in refused.stderr) == (2, True)


def test_rows_of_before_a_restart_are_there_after_it(server: ServerProcess, tmp_path: Path) -> None:
    one, kept = sorted(QUERIES.glob("*.flac"))[0], []
    for _ in range(2):
        assert run("replay", one, "--server", server.address, "--insecure").returncode == 0
        assert server.terminate() == 0
        kept.append(rows(tmp_path, "session_id", "segment_id", "text"))
        server.start()
    assert set(kept[0]) < set(kept[1])
    assert len(kept[1]) == 2 * len(kept[0]) > 0
    assert {text for *_, text in kept[1]} == {None}


def test_a_device_takes_back_all_that_is_kept_of_it_and_nothing_of_others(
    server: ServerProcess, tmp_path: Path
) -> None:
    one = sorted(QUERIES.glob("*.flac"))[0]
    where = ("--server", server.address, "--insecure")
    assert run("replay", one, *where, **CONSENT).returncode == 0
    assert len(written(tmp_path, "id")) > 0

    def erase(*flags: object, said: str = "", device: str = DEVICE) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"VOXLOOP_DEVICE_ID": device}
        return subprocess.run(
            voxloop("erase", *where, *flags),
            capture_output=True, input=said, text=True, check=False, timeout=120, env=environment,
        )  # fmt: skip

    for said in ("", "n\n", "\n"):
        refused = erase(said=said)
        assert (refused.returncode, "nothing was erased; --yes does not ask" in refused.stderr) == (2, True)
        assert f"keeps of device {DEVICE}" in refused.stderr
    assert "erased 0 utterances of attic" in erase("--yes", device="attic").stderr
    kept = len(rows(tmp_path, "id"))
    assert kept > 0
    done = erase(said="y\n")
    assert (done.returncode, f"erased {kept} utterances of {DEVICE}" in done.stderr) == (0, True)
    assert rows(tmp_path, "id") == []
    assert list((tmp_path / "state" / "clips").iterdir()) == []
    assert "erased 0 utterances" in erase("--yes").stderr  # twice is as good as once


def test_a_server_that_keeps_nothing_has_nothing_to_erase(tiny: Path) -> None:
    process = ServerProcess(tiny)
    process.start()
    try:
        refused = run("erase", "--yes", "--server", process.address, "--insecure")
    finally:
        process.terminate()
    assert refused.returncode != 0
    assert "keeps no utterances" in refused.stderr
