"""A little text to speak."""

import itertools
import lzma
from pathlib import Path

import pytest

SENTENCES = [f"play song number {word} please" for word in "abcdefghijklmnopqrstuvwxyz"]
SENTENCES += [
    f"turn on light {first} {second}" for first, second in itertools.product("abcdefghijklmnopqrst", repeat=2)
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    for kind in ("queries", "everyday", "books"):
        (tmp_path / f"{kind}.txt.xz").write_bytes(lzma.compress("".join(f"{line}\n" for line in SENTENCES).encode()))
    return tmp_path
