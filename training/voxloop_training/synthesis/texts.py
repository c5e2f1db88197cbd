"""What is said: queries, everyday and book sentences, digits and single words."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from voxloop_proto.errors import DataError
from voxloop_training.grammar.text import is_held_out, read_text

DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMANDS: Final = (
    "right",
    "down",
    "eight",
    "five",
    "go",
    "left",
    "one",
    "up",
    "zero",
    "yes",
    "no",
    "stop",
    "on",
    "off",
)
_LONGEST_WORDS: Final = 12


def sentences(folder: Path, kind: str, held_out: bool, seed: int, part: int = 0, parts: int = 1) -> Iterator[str]:
    """Endless texts of a kind, shuffled; no text of `held_out` sentences is among the others.

    kind: queries, everyday or books, of the folder's files; digits: one to five of them; words: one command. Of the
    files' sentences every `parts`-th is taken, so that no two parts share one. Raises DataError if that leaves none.
    """
    chance = random.Random(f"{seed}/{kind}/{held_out}")
    if kind in ("digits", "words"):
        while True:
            count = 1 if kind == "words" or chance.random() < 0.5 else chance.randint(2, 5)
            yield " ".join(chance.choices(COMMANDS if kind == "words" else DIGITS, k=count))
    found = [text for text in read_text(folder, kind) if is_held_out(text) == held_out and _is_short(text)]
    found = found[part::parts]
    if not found:
        which = "held out" if held_out else "to train on"
        raise DataError(f"no {kind} of 2 to {_LONGEST_WORDS} words {which} in {folder}; give a folder with more text")
    while True:
        chance.shuffle(found)
        yield from found


def _is_short(text: str) -> bool:
    return 2 <= len(text.split()) <= _LONGEST_WORDS
