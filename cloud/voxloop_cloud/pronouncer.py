"""How the words of a session's hotwords are said: by the bundle's lexicon, and by their spelling if it lacks them."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from pathlib import Path
from typing import Final

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.graph_lexicon import GraphLexicon, Pronunciation
from voxloop_cloud.spelling import SPELLING_FILE, load_spelling
from voxloop_proto.errors import DataError

Spell = Callable[[str], Sequence[str]]
"""The phones of any word of a to z. Raises DataError if it has none."""

_MOST_WAYS: Final = 16
"""Of a phrase whose words have several pronunciations each; the first ones are the usual ones."""
_REMEMBERED_WORDS: Final = 20_000


@dataclass(frozen=True, slots=True)
class SpokenPhrase:
    """A phrase and all ways to say each of its words."""

    words: tuple[str, ...]
    ways: tuple[tuple[Pronunciation, ...], ...]

    def readings(self) -> list[tuple[Pronunciation, ...]]:
        """Ways to say the whole, a pronunciation for each word; at most 16."""
        return list(islice(product(*self.ways), _MOST_WAYS))


class Pronouncer:
    """Says words; any number of threads may ask at once."""

    def __init__(self, lexicon: GraphLexicon, tokens: Sequence[str], spell: Spell | None) -> None:
        """spell: for words that the lexicon lacks; None if the bundle cannot say those."""
        self._known = {lexicon.word(number): number for number in range(1, len(lexicon) + 1)}
        self._lexicon = lexicon
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._spell = spell
        self._guess = lru_cache(_REMEMBERED_WORDS)(self._guess_phones)

    def __contains__(self, word: str) -> bool:
        """Whether the lexicon has the word, so that it need not be guessed."""
        return word in self._known

    def pronunciations(self, word: str) -> tuple[Pronunciation, ...]:
        """All ways to say a word of a-z and apostrophes, in lower case; none if it cannot be said."""
        number = self._known.get(word)
        return self._lexicon.pronunciations(number) if number else self._guess(word)

    def _guess_phones(self, word: str) -> tuple[Pronunciation, ...]:
        try:
            phones = self._spell(word) if self._spell else ()
        except DataError:
            return ()
        said = tuple(self._ids[phone] for phone in phones if phone in self._ids)
        return (said,) if said else ()


def open_pronouncer(bundle: Bundle, lexicon: GraphLexicon) -> Pronouncer:
    """A bundle's pronouncer; its model of spelling, if it has one, is loaded when a word first needs it."""
    path = bundle.path / SPELLING_FILE
    return Pronouncer(lexicon, bundle.tokens, _spelling_at(path) if path.is_file() else None)


def _spelling_at(path: Path) -> Spell:
    """Says words by the model in a file, which is loaded once, by whoever needs it first while the others wait."""
    load, lock = lru_cache(1)(load_spelling), threading.Lock()

    def spell(word: str) -> Sequence[str]:
        with lock:
            model = load(path)
        return model.pronounce(word)

    return spell
