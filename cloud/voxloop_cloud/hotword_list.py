"""What a session says of its hotwords, checked and spelled as the lexicon spells."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voxloop_proto.contract import MAX_HOTWORD_CHARACTERS, MAX_HOTWORDS_BYTES
from voxloop_proto.errors import ContractError
from voxloop_proto.scoring import normalize

MOST_WORDS: Final = 2_000
"""Of all phrases together: what making a list ready takes is theirs."""

_PARTS_WORDS: Final = frozenset("PZ")
"""Unicode's categories of punctuation and separators."""


@dataclass(frozen=True, slots=True)
class HotwordList:
    """Phrases as words of a-z and apostrophes, in lower case, each phrase once. only: nothing else is said."""

    phrases: tuple[tuple[str, ...], ...]
    only: bool


def read_hotwords(hotwords: Sequence[str], only: bool, most: int) -> HotwordList | None:
    """The list; None if there are none.

    Raises ContractError that names a hotword by its place, never its text: it may be private, and errors are logged.
    """
    if len(hotwords) > most:
        raise ContractError(f"{len(hotwords)} hotwords; this server takes at most {most}")
    total_bytes = sum(len(hotword.encode()) for hotword in hotwords)
    if total_bytes > MAX_HOTWORDS_BYTES:
        raise ContractError(f"hotwords of {total_bytes} bytes in all; allowed are {MAX_HOTWORDS_BYTES}")
    if only and not hotwords:
        raise ContractError("hotwords_only without hotwords; give those that may be said, or leave hotwords_only out")
    if not hotwords:
        return None
    phrases = dict.fromkeys(_read_phrase(place, hotword) for place, hotword in enumerate(hotwords, start=1))
    words = sum(map(len, phrases))
    if words > MOST_WORDS:
        raise ContractError(f"hotwords of {words} words in all; allowed are {MOST_WORDS}: name fewer or shorter ones")
    return HotwordList(tuple(phrases), only)


def _read_phrase(place: int, hotword: str) -> tuple[str, ...]:
    if len(hotword) > MAX_HOTWORD_CHARACTERS:
        raise ContractError(
            f"hotword {place} has {len(hotword)} characters; allowed are {MAX_HOTWORD_CHARACTERS}: shorten it"
        )
    for character in unicodedata.normalize("NFKD", hotword.casefold()):
        if not _may_be_said(character):
            raise ContractError(
                f"hotword {place} has the character U+{ord(character):04X}; allowed are the letters a to z, with or "
                "without accents, apostrophes, and punctuation or spaces between words: write numbers as words"
            )
    words = tuple(normalize(hotword).split())
    if not words:
        raise ContractError(f"hotword {place} has no letters; leave it out")
    return words


def _may_be_said(character: str) -> bool:
    return (
        "a" <= character <= "z"
        or character.isspace()
        or unicodedata.combining(character) > 0
        or unicodedata.category(character)[0] in _PARTS_WORDS
        or character == "\u02bc"  # a letter to Unicode, an apostrophe to us
    )
