"""The audit log: who did what and when, in a space that is bounded."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from voxloop_cloud.security import audit_log
from voxloop_cloud.security.audit_log import MAX_REFUSALS_PER_MINUTE, AuditLog


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]


def test_each_line_says_who_did_what_and_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    log = AuditLog(tmp_path / "audit.jsonl")
    log.record("token.issue", device_id="kitchen", token_id="0123")
    log.refuse("/m", "no token", "ipv4:10.0.0.7:4711", device_id="hall")
    issued, refused = lines(tmp_path / "audit.jsonl")
    assert (issued["action"], issued["who"], issued["device_id"], issued["token_id"]) == (
        "token.issue", "ada", "kitchen", "0123",
    )  # fmt: skip
    assert (refused["action"], refused["who"], refused["peer"], refused["why"], refused["method"]) == (
        "call.refused", "hall", "ipv4:10.0.0.7:4711", "no token", "/m",
    )  # fmt: skip
    assert issued["time"] <= refused["time"]
    assert issued["time"].endswith("+00:00")


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    AuditLog(tmp_path / "audit.jsonl").record("token.issue")
    assert {stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()} == {0o600}


def test_what_a_stranger_sends_can_neither_break_a_line_nor_make_it_long(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.refuse("/m", 'x"\n{"action": "token.issue"}' + "y" * 10_000, "ipv4:\r\n", device_id="\u2028\x00")
    (line,) = lines(tmp_path / "audit.jsonl")
    assert line["action"] == "call.refused"
    assert len((tmp_path / "audit.jsonl").read_bytes()) < 1_000


def test_refused_calls_are_bounded_in_a_minute_counted_beyond_and_told_later(tmp_path: Path) -> None:
    now_s = 0.0
    log = AuditLog(tmp_path / "audit.jsonl", clock=lambda: now_s)
    for _ in range(MAX_REFUSALS_PER_MINUTE + 1_000):
        log.refuse("/m", "no token", "ipv4:10.0.0.7:1")
    assert len(lines(tmp_path / "audit.jsonl")) == MAX_REFUSALS_PER_MINUTE
    now_s = 60.0
    log.refuse("/m", "no token", "ipv4:10.0.0.7:1")
    assert lines(tmp_path / "audit.jsonl")[-1]["more_untold"] == 1_000
    log.record("token.issue")  # what the operator does is never left out


def test_the_files_never_take_more_than_their_bound(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", max_bytes=1_000)
    for number in range(200):
        log.record("token.issue", device_id=f"device-{number}")
    found = sorted(tmp_path.glob("audit.jsonl*"))
    sizes = [file.stat().st_size for file in found]
    assert len(found) == audit_log.KEPT_FILES + 2  # and the lock
    assert max(sizes) <= 1_000
    assert lines(tmp_path / "audit.jsonl")[-1]["device_id"] == "device-199"
    newest = [line["device_id"] for line in lines(tmp_path / "audit.jsonl.1")]
    assert newest[-1] == f"device-{199 - len(lines(tmp_path / 'audit.jsonl'))}"


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    AuditLog(tmp_path / "audit.jsonl").refuse("/m", "no token", "ipv4:10.0.0.7:1")
    AuditLog(tmp_path / "none" / "audit.jsonl").record("token.issue")
