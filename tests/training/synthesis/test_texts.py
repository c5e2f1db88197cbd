import itertools
import lzma
from pathlib import Path

import pytest
from tests.training.synthesis.conftest import SENTENCES

from voxloop_proto.errors import DataError
from voxloop_training.grammar.text import is_held_out
from voxloop_training.synthesis.texts import sentences


def test_held_out_sentences_are_for_dev_and_test_only(text: Path) -> None:
    trained = set(itertools.islice(sentences(text, "queries", held_out=False, seed=1), 200))
    measured = set(itertools.islice(sentences(text, "queries", held_out=True, seed=1), 20))
    assert measured
    assert not trained & measured


def test_parts_share_no_sentence_and_leave_none_out(text: Path) -> None:
    every = {sentence for sentence in SENTENCES if not is_held_out(sentence)}
    parts = [set(itertools.islice(sentences(text, "queries", False, 1, part, 3), len(every))) for part in range(3)]
    assert set.union(*parts) == every
    assert sum(map(len, parts)) == len(every)


def test_too_little_text_is_an_error(text: Path) -> None:
    (text / "queries.txt.xz").write_bytes(lzma.compress(b"alone\n"))
    with pytest.raises(DataError, match=r"no queries of 2 to 12 words held out in"):
        next(sentences(text, "queries", held_out=True, seed=1))
