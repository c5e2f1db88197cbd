from pathlib import Path

import pytest

from voxloop_proto.errors import DataError
from voxloop_training.tokens import Tokens


def test_text_comes_back_from_its_ids() -> None:
    tokens = Tokens.characters()
    assert tokens.to_text(tokens.to_ids("it's  me ")) == "it's me"


def test_a_character_outside_of_the_set_is_refused() -> None:
    with pytest.raises(DataError, match="allowed are a-z"):
        Tokens.characters().to_ids("Nö")


def test_repeats_become_one_and_blanks_go() -> None:
    tokens = Tokens.characters()
    blank, a, b = tokens.blank_id, *tokens.to_ids("ab")
    assert tokens.collapse([blank, a, a, blank, a, b, b, blank]) == [a, a, b]


def test_the_blank_is_the_last_line_of_the_file(tmp_path: Path) -> None:
    Tokens.characters().write(tmp_path / "tokens.txt")
    lines = (tmp_path / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "\u2581 0"
    assert lines[-1] == "<blk> 28"
