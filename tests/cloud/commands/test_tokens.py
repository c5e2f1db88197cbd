"""`voxloop tokens`: what is printed, what is kept, and what is told to the audit log."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from voxloop_cloud.security.token_store import read_tokens
from voxloop_proto.cli import app
from voxloop_proto.errors import UnauthenticatedError

CONFIG = 2


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def tokens(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["tokens", *map(str, arguments)])


def issue(file: Path, device: str, *arguments: str | Path) -> str:
    result = tokens("issue", device, "--tokens", file, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_token_is_printed_once_alone_and_counts(file: Path) -> None:
    text = issue(file, "kitchen", "--expires-days", "7")
    assert text.endswith("\n")
    assert len(text.split()) == 1
    record = read_tokens(file).check(text.strip(), datetime.now(UTC))
    assert record.device_id == "kitchen"
    assert record.expires - record.issued == timedelta(days=7)
    listed = tokens("list", "--tokens", file).output
    assert record.id in listed
    assert text.strip().split("_", 2)[2] not in listed


def test_a_token_s_file_is_for_its_owner_alone_and_never_overwritten(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "kitchen.token"
    assert issue(file, "kitchen", "--out", out) == ""
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    read_tokens(file).check(out.read_text().strip(), datetime.now(UTC))
    for command in ("rotate", "issue"):
        device = "kitchen" if command == "rotate" else "hall"
        result = tokens(command, device, "--tokens", file, "--out", out)
        assert result.exit_code == CONFIG
        assert "is there already and is not overwritten" in result.stderr
    assert len(read_tokens(file).tokens) == 1


def test_a_device_has_one_token_until_it_is_rotated(file: Path) -> None:
    old = issue(file, "kitchen").strip()
    again = tokens("issue", "kitchen", "--tokens", file)
    assert again.exit_code == CONFIG
    assert "kitchen has a token already; 'voxloop tokens rotate kitchen' gives it a new one" in again.stderr
    new = tokens("rotate", "kitchen", "--tokens", file, "--grace-hours", "2").stdout.strip()
    now = datetime.now(UTC)
    for text in (old, new):
        read_tokens(file).check(text, now + timedelta(hours=1))
    with pytest.raises(UnauthenticatedError):
        read_tokens(file).check(old, now + timedelta(hours=3))
    assert "counts until it ends" in tokens("list", "--tokens", file).output


def test_no_grace_is_no_grace(file: Path) -> None:
    old = issue(file, "kitchen").strip()
    assert tokens("rotate", "kitchen", "--tokens", file, "--grace-hours", "0").exit_code == 0
    with pytest.raises(UnauthenticatedError):
        read_tokens(file).check(old, datetime.now(UTC))


def test_revoking_takes_all_of_a_device_or_one_by_its_id(file: Path) -> None:
    issue(file, "kitchen")
    issue(file, "hall")
    tokens("rotate", "kitchen", "--tokens", file)
    first, _, second = read_tokens(file).tokens
    assert tokens("revoke", "kitchen", "--tokens", file, "--id", first.id).stdout == "revoked 1 of kitchen\n"
    assert [found.id for found in read_tokens(file).of("kitchen", datetime.now(UTC))] == [second.id]
    assert tokens("revoke", "kitchen", "--tokens", file).exit_code == 0
    again = tokens("revoke", "kitchen", "--tokens", file)
    assert again.exit_code == CONFIG
    assert "no token of kitchen to revoke" in again.stderr
    assert len(read_tokens(file).of("hall", datetime.now(UTC))) == 1


@pytest.mark.parametrize("device", ["", "../x", "a b", "x" * 65])
def test_a_device_that_cannot_be_gets_none(file: Path, device: str) -> None:
    result = tokens("issue", device, "--tokens", file)
    assert result.exit_code == CONFIG
    assert "allowed are 1 to 64 letters" in result.stderr
    assert not file.exists()


def test_each_change_is_told_to_the_audit_log_and_no_refused_one(file: Path) -> None:
    issue(file, "kitchen")
    tokens("issue", "kitchen", "--tokens", file)
    tokens("rotate", "kitchen", "--tokens", file)
    tokens("revoke", "kitchen", "--tokens", file)
    lines = [json.loads(line) for line in file.with_name("audit.jsonl").read_text().splitlines()]
    assert [line["action"] for line in lines] == ["token.issue", "token.rotate", "token.revoke", "token.revoke"]
    ids = [found.id for found in read_tokens(file).tokens]
    assert [line["token_id"] for line in lines] == [*ids, *ids]


def test_a_missing_file_is_named(file: Path) -> None:
    result = tokens("list", "--tokens", file)
    assert result.exit_code == CONFIG
    assert f"no file of tokens {file}" in result.stderr
    assert tokens("rotate", "kitchen", "--tokens", file).exit_code == CONFIG
    assert not file.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = tokens("issue", "kitchen", "--tokens", tmp_path / "none" / "tokens.json")
    assert result.exit_code == CONFIG
    assert "cannot write the tokens" in result.stderr
