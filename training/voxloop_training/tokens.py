"""The characters or phones that a model writes, and their numbers."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from voxloop_proto.errors import DataError
from voxloop_training.lexicon.phones import PHONES

SPACE: Final = "\u2581"
BLANK: Final = "<blk>"


class Tokens:
    """Maps lower-case text to token ids and back; the blank is the last token, as in NeMo.

    >>> tokens = Tokens.characters()
    >>> tokens.to_text(tokens.to_ids("it's me"))
    "it's me"
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = (*symbols, BLANK)
        self._ids = {symbol: index for index, symbol in enumerate(self.symbols)}

    @classmethod
    def characters(cls) -> "Tokens":
        return cls([SPACE, *string.ascii_lowercase, "'"])

    @classmethod
    def phones(cls) -> "Tokens":
        """The phones of the lexicon; a graph makes words of them (see voxloop_cloud's graph decoder)."""
        return cls(PHONES)

    @property
    def blank_id(self) -> int:
        return len(self.symbols) - 1

    def __len__(self) -> int:
        """How many tokens there are, blank included."""
        return len(self.symbols)

    def to_ids(self, text: str) -> list[int]:
        """Ids of `text`; raises DataError for a character that the model cannot write."""
        spelled = " ".join(text.split()).replace(" ", SPACE)
        unknown = set(spelled) - self._ids.keys()
        if unknown:
            raise DataError(f"text {text!r} has {sorted(unknown)}; allowed are a-z, apostrophe and space")
        return self.ids_of(spelled)

    def ids_of(self, symbols: Sequence[str]) -> list[int]:
        """Ids of tokens, each of which must be known."""
        return [self._ids[symbol] for symbol in symbols]

    def to_text(self, ids: Sequence[int]) -> str:
        """What the ids say: characters as words, phones with spaces between."""
        between = "" if SPACE in self._ids else " "
        return between.join(self.symbols[index] for index in ids if index != self.blank_id).replace(SPACE, " ").strip()

    def collapse(self, ids: Sequence[int]) -> list[int]:
        """Greedy CTC: repeats become one, blanks go."""
        previous = [self.blank_id, *ids]
        return [now for before, now in zip(previous, ids, strict=False) if now not in (before, self.blank_id)]

    def write(self, path: Path) -> None:
        """Write sherpa-onnx's tokens.txt: one `token id` per line."""
        path.write_text("".join(f"{symbol} {index}\n" for index, symbol in enumerate(self.symbols)), encoding="utf-8")
