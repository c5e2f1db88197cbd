"""Which transcript feedback is of, as the journal of `voxloop listen` has it."""

import json
from pathlib import Path

import pytest

from voxloop_edge.feedback import last_said
from voxloop_proto.errors import ConfigError


def line(segment: int, outcome: str = "transcript", session: str = "s1") -> str:
    return json.dumps({"session": session, "segment": segment, "outcome": outcome, "text": "said"}) + "\n"


def test_the_last_transcript_counts_whatever_failed_after_it(tmp_path: Path) -> None:
    journal = tmp_path / "said.jsonl"
    journal.write_text(line(1) + line(2, session="s2") + line(3, "failed") + line(4)[:-5])
    assert last_said(journal) == ("s2", 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no transcript yet"),
        (line(1, "lost"), "holds no transcript yet"),
        ("[]\n", "no journal"),
        ("x\n", "no journal"),
    ],
)
def test_a_file_that_names_no_transcript_is_a_clear_error(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "said.jsonl").write_text(text)
    with pytest.raises(ConfigError, match=why):
        last_said(tmp_path / "said.jsonl")


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        last_said(tmp_path / "none.jsonl")
