"""The words of a decoding graph and how they are said, as a bundle has them."""

import lzma
from collections.abc import Iterable, Sequence
from pathlib import Path

from voxloop_cloud.xz_file import read_xz
from voxloop_proto.errors import ContractError

Pronunciation = tuple[int, ...]
"""Token ids."""


class GraphLexicon:
    """Words by their number in the graph, from 1, each with its pronunciations."""

    def __init__(self, entries: Sequence[tuple[str, tuple[Pronunciation, ...]]]) -> None:
        self._entries = (("", ()), *entries)

    def __len__(self) -> int:
        return len(self._entries) - 1

    def word(self, number: int) -> str:
        """How it is written."""
        return self._entries[number][0]

    def pronunciations(self, number: int) -> tuple[Pronunciation, ...]:
        """All ways to say it."""
        return self._entries[number][1]


def write_lexicon(entries: Iterable[tuple[str, Sequence[Sequence[str]]]], path: Path) -> None:
    """Writes a line for each word, in the graph's order: the word, then its pronunciations, between tabs."""
    lines = ("\t".join((word, *(" ".join(phones) for phones in ways))) + "\n" for word, ways in entries)
    path.write_bytes(lzma.compress("".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME))


def read_lexicon(path: Path, tokens: Sequence[str]) -> GraphLexicon:
    """Reads what write_lexicon wrote. Raises ContractError if the file is anything else, or has other phones."""
    try:
        lines = read_xz(path, "lexicon").decode().splitlines()
    except UnicodeDecodeError as error:
        raise ContractError(f"{path} is no lexicon ({error}); export the bundle again") from error
    ids = {token: index for index, token in enumerate(tokens)}
    entries: list[tuple[str, tuple[Pronunciation, ...]]] = []
    for number, line in enumerate(lines, start=1):
        word, *ways = line.split("\t")
        if not word or not ways or not all(ways):
            raise ContractError(
                f"{path}, line {number}, is {line!r}; allowed is a word and its pronunciations, between tabs; "
                "export the bundle again"
            )
        try:
            entries.append((word, tuple(tuple(ids[phone] for phone in way.split(" ")) for way in ways)))
        except KeyError as error:
            raise ContractError(
                f"{path}, line {number}, has the phone {error}, which the model does not write; its phones are "
                f"{' '.join(tokens[:-1])}; export the bundle with the graph of its model"
            ) from error
    return GraphLexicon(entries)
