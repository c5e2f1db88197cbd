"""N-grams by hand-counted examples, and the sums that every one of them has to keep."""

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_proto.errors import DataError
from voxloop_training.grammar.ngram import END, START, Ngram, mix, normalized, read_arpa, write_arpa

Bigrams = dict[tuple[str, str], float]

WORDS = ("a", "b", "c", END)


def ngram_of(bigrams: dict[tuple[str, str], float], unigrams: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)) -> Ngram:
    ngram = Ngram(2)
    ngram.probabilities[0] = {(word,): math.log10(share) for word, share in zip(WORDS, unigrams, strict=True)}
    ngram.probabilities[1] = {words: math.log10(share) for words, share in bigrams.items()}
    return normalized(ngram)


shares = st.floats(0.01, 0.3)
bigrams = st.dictionaries(st.tuples(st.sampled_from([START, "a", "b"]), st.sampled_from(WORDS[:3])), shares, max_size=6)


@settings(max_examples=50)
@given(first=bigrams, second=bigrams, weight=st.floats(0.1, 0.9))
def test_after_every_history_the_probabilities_sum_to_one(first: Bigrams, second: Bigrams, weight: float) -> None:
    for ngram in (ngram_of(first), mix([ngram_of(first), ngram_of(second)], [weight, 1 - weight])):
        for history in ((), (START,), ("a",), ("b",), ("c",)):
            assert sum(10 ** ngram.log10(word, history) for word in WORDS) == pytest.approx(1, abs=1e-3)


def test_a_mix_takes_what_follows_a_history_from_the_text_that_has_the_history() -> None:
    often = ngram_of({("a", "b"): 0.9}, (0.97, 0.01, 0.01, 0.01))
    hardly = ngram_of({("a", "c"): 0.9}, (0.01, 0.01, 0.01, 0.97))
    mixed = mix([often, hardly], [0.5, 0.5])
    assert 10 ** mixed.log10("b", ("a",)) > 0.85
    assert 10 ** mixed.log10("c", ("a",)) < 0.05


def test_perplexity_by_a_hand_counted_example() -> None:
    ngram = ngram_of({}, (0.25, 0.25, 0.25, 0.25))
    fit = ngram.fit(["a b", "c x"])
    assert (fit.words, fit.unknown) == (4, 1)
    assert fit.unknown_ratio == 0.25
    assert fit.perplexity == pytest.approx(4)


def test_an_ngram_survives_its_file(tmp_path: Path) -> None:
    ngram = ngram_of({("a", "b"): 0.5, (START, "c"): 0.7})
    write_arpa(ngram, tmp_path / "a.arpa")
    again = read_arpa(tmp_path / "a.arpa")
    for word, history in itertools.product(WORDS, ((), (START,), ("a",))):
        assert again.log10(word, history) == pytest.approx(ngram.log10(word, history), abs=1e-4)


def test_unknown_words_and_ngrams_over_the_edges_are_left_out(tmp_path: Path) -> None:
    rows = "\\data\\\nngram 1=4\nngram 2=4\n\n\\1-grams:\n-1 <unk>\n-1 a -0.1\n-1 <s> -0.1\n-1 </s>\n\n"
    rows += "\\2-grams:\n-1 a <unk>\n-1 </s> a\n-1 <s> <s>\n-1 <s> a\n\n\\end\\\n"
    (tmp_path / "a.arpa").write_text(rows)
    assert read_arpa(tmp_path / "a.arpa").counts() == (3, 1)


def test_a_file_that_is_no_arpa_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_text("something else\n")
    with pytest.raises(DataError, match="no ARPA file"):
        read_arpa(tmp_path / "a.arpa")
