"""The text that the grammar is learned from: read, split by checksum, its vocabulary chosen."""

import lzma
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from voxloop_proto.errors import DataError

KINDS: Final = ("books", "queries", "everyday")
"""The files of text/, each `KIND.txt.xz`: one sentence per line, a-z and apostrophes."""

UNKNOWN: Final = "<unk>"
_HELD_OUT: Final = 50
"""One sentence in so many is held out."""


def read_text(folder: Path, kind: str) -> Iterator[str]:
    """The sentences of one kind. Raises DataError if they are not there."""
    file = folder / f"{kind}.txt.xz"
    if not file.is_file():
        raise DataError(f"no {file}; the grammar is learned from {', '.join(KINDS)}; give the folder that has them")
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n")


def is_held_out(sentence: str) -> bool:
    """Whether a sentence is for measuring; the same sentence always is or never is."""
    return zlib.crc32(sentence.encode()) % _HELD_OUT == 0


def choose_vocabulary(counts: Mapping[str, Counter[str]], least: int) -> list[str]:
    """All words of the queries, and those of the rest that are seen at least so often, in alphabetical order."""
    rest: Counter[str] = Counter()
    for kind, words in counts.items():
        if kind != "queries":
            rest += words
    return sorted(set(counts["queries"]) | {word for word, count in rest.items() if count >= least})


def write_training_text(sentences: Iterable[str], vocabulary: frozenset[str], path: Path) -> int:
    """Writes sentences between <s> and </s>, other words as <unk>; returns how many words there were."""
    words = 0
    with path.open("w", encoding="utf-8") as file:
        for sentence in sentences:
            kept = [word if word in vocabulary else UNKNOWN for word in sentence.split()]
            words += len(kept)
            file.write(f"<s> {' '.join(kept)} </s>\n")
    return words
