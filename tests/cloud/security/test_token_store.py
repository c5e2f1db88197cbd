"""The file of tokens: private, whole at all times, and noticed by a running server when it changes."""

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voxloop_cloud.security.token_store import WatchedTokens, change_tokens, read_tokens
from voxloop_cloud.security.tokens import TokenBook, make_token
from voxloop_proto.errors import ConfigError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def add(file: Path, device_id: str) -> None:
    change_tokens(file, lambda book: book.add(make_token(device_id, NOW, timedelta(days=1))[1], NOW))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.json"
    add(path, "kitchen")
    return path


def test_the_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        add(tmp_path / "tokens.json", "kitchen")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()] == [0o600, 0o600]


def test_what_is_written_is_read(file: Path) -> None:
    add(file, "hall")
    assert [record.device_id for record in read_tokens(file).tokens] == ["kitchen", "hall"]


def test_a_change_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(file: Path) -> None:
    def fail(_: TokenBook) -> TokenBook:
        raise ConfigError("no")

    before, names = file.read_bytes(), sorted(os.listdir(file.parent))
    with pytest.raises(ConfigError):
        change_tokens(file, fail)
    assert file.read_bytes() == before
    assert sorted(os.listdir(file.parent)) == names


def test_commands_at_the_same_time_lose_no_token(file: Path) -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); from test_token_store import add; from pathlib import Path\n"
        "for number in range(5): add(Path(sys.argv[2]), f'{sys.argv[3]}-{number}')"
    )
    here = str(Path(__file__).parent)
    commands = [[sys.executable, "-c", code, here, str(file), name] for name in "abc"]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert len(read_tokens(file).tokens) == 16


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no file of tokens: the file: Invalid JSON"),
        (b"\xff", "no file of tokens"),
        (b"[]", "no file of tokens"),
        (b'{"format": 2}', "format: Input should be 1"),
        (b'{"tokens": [{"id": "1"}]}', "tokens.0.id: String should match pattern"),
        (b'{"token": []}', "token: Extra inputs"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_tokens(file)


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="voxloop tokens issue DEVICE --tokens"):
        WatchedTokens(tmp_path / "none.json")


def test_a_hash_that_is_none_is_not_shown(file: Path) -> None:
    document = json.loads(file.read_text())
    document["tokens"][0]["sha256"] = "hunter2"
    file.write_text(json.dumps(document))
    with pytest.raises(ConfigError) as refused:
        read_tokens(file)
    assert "hunter2" not in refused.value.message


def test_a_change_is_noticed_once_and_no_change_costs_no_reading(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = WatchedTokens(file)
    monkeypatch.setattr(Path, "read_bytes", None)
    assert not watched.refresh()
    monkeypatch.undo()
    add(file, "hall")
    assert watched.refresh()
    assert not watched.refresh()
    assert len(watched.book.tokens) == 2


def test_a_file_that_is_damaged_or_gone_while_the_server_runs_locks_nobody_out(file: Path) -> None:
    watched = WatchedTokens(file)
    good = file.read_bytes()
    for damage in (lambda: file.write_bytes(b"{"), file.unlink):
        damage()
        assert not watched.refresh()
        assert len(watched.book.tokens) == 1
    file.write_bytes(good)
    add(file, "hall")
    assert watched.refresh()
    assert len(watched.book.tokens) == 2
