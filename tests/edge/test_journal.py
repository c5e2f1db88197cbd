"""The journal: each segment once, whatever was cut off."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_edge.journal import Journal, JournalLine, Outcome
from voxloop_proto.errors import ConfigError


def line(segment: int, session: str = "s") -> JournalLine:
    return JournalLine(session, segment, "transcript", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", 0, 1600)


def segments(file: Path) -> list[int]:
    return [json.loads(text)["segment"] for text in file.read_text(encoding="utf-8").splitlines()]


def test_a_segment_has_one_line_in_this_run_and_the_next(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    first = Journal(file)
    assert first.add(line(1))
    assert not first.add(line(1))
    assert first.add(line(1, session="other"))
    first.close()
    again = Journal(file, sessions=["s"])
    assert not again.add(line(1))
    assert again.add(line(2))
    again.close()
    assert segments(file) == [1, 1, 2]


@settings(deadline=None)  # a sync takes as long as the disk likes
@given(cut=st.integers(0, 10_000))
def test_a_line_that_was_cut_at_any_byte_is_taken_away_and_may_come_again(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    file = tmp_path_factory.mktemp("journal") / "t.jsonl"
    journal = Journal(file)
    for number in (1, 2):
        journal.add(line(number))
    journal.close()
    data = file.read_bytes()
    cut %= len(data)
    file.write_bytes(data[:cut])
    again = Journal(file, sessions=["s"])
    whole = data[:cut].count(b"\n")
    assert again.torn_bytes == cut - (data[:cut].rfind(b"\n") + 1)
    assert [number for number in (1, 2) if again.add(line(number))] == [1, 2][whole:]
    again.close()
    assert segments(file) == [1, 2]


def test_what_is_no_journal_and_what_another_writes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("milk\n")
    with pytest.raises(ConfigError, match=r"notes\.txt, line 1 is none of a journal; name another"):
        Journal(tmp_path / "notes.txt", sessions=["s"])
    (tmp_path / "notes.txt").write_text("milk")  # its only line is no line that was cut off
    with pytest.raises(ConfigError, match="line 1 is none of a journal"):
        Journal(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "milk"
    journal = Journal(tmp_path / "t.jsonl")
    with pytest.raises(ConfigError, match="written by another voxloop"):
        Journal(tmp_path / "t.jsonl")
    journal.close()
    with pytest.raises(ConfigError, match="cannot write transcripts"):
        Journal(tmp_path / "no folder" / "t.jsonl")


def test_the_clouds_text_supersedes_the_devices_own_once_and_is_never_the_first(tmp_path: Path) -> None:
    file, of_cloud = tmp_path / "journal", replace(line(1), route="primary", text="cloud")
    with closing(Journal(file)) as journal:
        assert journal.add(replace(line(1), route="local", text="own"))
        assert not journal.add(replace(line(1), route="local", text="own again"))
    for _ in range(2):
        with closing(Journal(file, ["s"])) as journal:
            assert not journal.add(of_cloud)
            assert not journal.add(of_cloud)
    found = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    assert [(entry["outcome"], entry["text"]) for entry in found] == [("transcript", "own"), ("superseding", "cloud")]


@pytest.mark.parametrize("outcome", ["failed", "lost"])
def test_a_text_of_the_devices_own_outlives_a_failure_of_the_cloud(tmp_path: Path, outcome: Outcome) -> None:
    with closing(Journal(tmp_path / "journal")) as journal:
        journal.add(replace(line(1), route="local"))
        assert not journal.add(replace(line(1), outcome=outcome))
    assert segments(tmp_path / "journal") == [1]
