"""What a spelling sounds like: a joint n-gram of letters and phones (Bisani and Ney 2008, one letter to a unit)."""

import lzma
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from voxloop_cloud.xz_file import read_xz
from voxloop_proto.errors import ContractError, DataError

SPELLING_FILE: Final = "spelling.txt.xz"
"""A bundle of phones may have one: then it knows how words sound that its lexicon lacks."""

Pronunciation = tuple[str, ...]
"""The phones of one word."""

Graphone = tuple[str, Pronunciation]
"""A letter and the none, one or two phones that it stands for."""

EDGE: Final[Graphone] = ("#", ())
"""The start and the end of a word."""

_DISCOUNT: Final = 0.75
_BEAM: Final = 24
_FLOOR: Final = 1e-9


class Spelling:
    """An n-gram over graphones, by interpolated Kneser-Ney, and the search for the likeliest phones of a word.

    Counts come from the training package's `spelling_learner`, which also measures how often it is right.
    """

    def __init__(
        self, order: int, graphones: Sequence[Graphone], counts: Iterable[tuple[tuple[int, ...], int]]
    ) -> None:
        """counts: of n-grams of 1 to `order` graphone ids; id 0 is EDGE. Lower orders count distinct left contexts."""
        self.order = order
        self.graphones = tuple(graphones)
        self._by_letter: dict[str, list[int]] = defaultdict(list)
        for index, (letter, _) in enumerate(self.graphones):
            self._by_letter[letter].append(index)
        self._following: dict[tuple[int, ...], dict[int, int]] = defaultdict(dict)
        for ngram, count in counts:
            self._following[ngram[:-1]][ngram[-1]] = count
        self._totals = {history: sum(following.values()) for history, following in self._following.items()}

    def pronounce(self, word: str) -> Pronunciation:
        """The likeliest phones of a word of a-z; other characters are skipped. At least one phone."""
        hypotheses: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {(0,): (0.0, ())}
        for letter in [letter for letter in word if letter in self._by_letter and letter != EDGE[0]]:
            hypotheses = self._extend(hypotheses, self._by_letter[letter])
        finished = sorted(
            ((cost + self._cost(history, 0), units) for history, (cost, units) in hypotheses.items()),
        )
        for _, units in finished:
            if phones := tuple(phone for unit in units for phone in self.graphones[unit][1]):
                return phones
        raise DataError(f"nothing is heard in {word!r}; allowed are words of the letters a-z")

    def _extend(
        self, hypotheses: dict[tuple[int, ...], tuple[float, tuple[int, ...]]], units: Sequence[int]
    ) -> dict[tuple[int, ...], tuple[float, tuple[int, ...]]]:
        extended: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
        for history, (cost, path) in hypotheses.items():
            for unit in units:
                after = (*history, unit)[-(self.order - 1) :]
                total = cost + self._cost(history, unit)
                if after not in extended or total < extended[after][0]:
                    extended[after] = (total, (*path, unit))
        return dict(sorted(extended.items(), key=lambda item: (item[1][0], item[0]))[:_BEAM])

    def _cost(self, history: tuple[int, ...], unit: int) -> float:
        return -math.log(self._probability(history, unit))

    def _probability(self, history: tuple[int, ...], unit: int) -> float:
        """From the shortest history to the longest one that was seen, each smoothing the next."""
        probability = _FLOOR
        for start in range(len(history), -1, -1):
            following = self._following.get(history[start:])
            if following is None:
                break
            total = self._totals[history[start:]]
            discounted = max(following.get(unit, 0) - _DISCOUNT, 0.0)
            probability = (discounted + _DISCOUNT * len(following) * probability) / total
        return probability


def write_spelling(model: Spelling, counts: Iterable[tuple[tuple[int, ...], int]], path: Path) -> None:
    """Writes a model as text under xz: its order, one graphone per line, an empty line, one n-gram per line."""
    lines = [f"{model.order}", *(" ".join((letter, *phones)) for letter, phones in model.graphones), ""]
    lines += [" ".join(map(str, (count, *ngram))) for ngram, count in sorted(counts)]
    path.write_bytes(lzma.compress("\n".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME))


def load_spelling(path: Path) -> Spelling:
    """Reads what write_spelling wrote; takes about a second and 150 MB, so only when a word needs it.

    Raises ContractError if the file is anything else.
    """
    try:
        head, _, body = read_xz(path, "model of spelling").decode().partition("\n\n")
        order, *graphones = head.split("\n")
        units = [(letter, tuple(phones)) for letter, *phones in (line.split(" ") for line in graphones)]
        rows = (tuple(map(int, line.split(" "))) for line in body.split("\n"))
        return Spelling(int(order), units, ((row[1:], row[0]) for row in rows))
    except (ValueError, IndexError) as error:
        raise ContractError(f"{path} is no model of spelling ({error}); export the bundle again") from error
