from pathlib import Path

import pytest

from voxloop_proto.errors import ConfigError
from voxloop_training.evaluation.word_list import read_word_lists

SETS = ("digits/test", "commands/test", "digits/dev")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    digits, commands = tmp_path / "digits.txt", tmp_path / "commands.txt"
    digits.write_text("zero\none\n")
    commands.write_text("go\n")
    return digits, commands


def test_a_list_is_for_all_sets_or_for_one(files: tuple[Path, Path]) -> None:
    digits, commands = files
    assert read_word_lists([], SETS) == {}
    assert read_word_lists([str(commands)], SETS) == dict.fromkeys(SETS, ("go",))
    assert read_word_lists([f"digits={digits}"], SETS) == dict.fromkeys(("digits/test", "digits/dev"), ("zero", "one"))
    assert read_word_lists([f"digits/dev={digits}"], SETS) == {"digits/dev": ("zero", "one")}


def test_a_sets_own_list_wins(files: tuple[Path, Path]) -> None:
    digits, commands = files
    found = read_word_lists([f"digits/test={digits}", str(commands)], SETS)
    assert found == {"digits/test": ("zero", "one"), "commands/test": ("go",), "digits/dev": ("go",)}


def test_a_set_or_file_that_is_not_there_is_named(files: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match=r"no set 'books'; the sets are digits/test, commands/test, digits/dev"):
        read_word_lists([f"books={files[0]}"], SETS)
    with pytest.raises(ConfigError, match=r"nowhere\.txt"):
        read_word_lists(["nowhere.txt"], SETS)
