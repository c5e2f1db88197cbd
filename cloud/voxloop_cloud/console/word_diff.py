"""Where two texts differ, word by word. Pure."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

MOST_WORDS = 2_000
"""Beyond it the comparison would take seconds; texts of segments have tens."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words. same: in both; missing: only in the first text; added: only in the second."""

    kind: Literal["same", "missing", "added"]
    words: str


def word_diff(first: str, second: str) -> tuple[Piece, ...]:
    """The second text against the first; a replaced word is missing, then added."""
    before, after = first.split()[:MOST_WORDS], second.split()[:MOST_WORDS]
    pieces: list[Piece] = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", " ".join(before[a:b])))
            continue
        if b > a:
            pieces.append(Piece("missing", " ".join(before[a:b])))
        if d > c:
            pieces.append(Piece("added", " ".join(after[c:d])))
    return tuple(pieces)
