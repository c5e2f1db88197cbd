"""Scoring: the normalization, the counts, and the edges where ratios have no meaning."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_proto.scoring import normalize, score


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("What's the weather, in London?", "what's the weather in london"),
        ("it\u2019s", "it's"),
        ("she said 'hello', then", "she said 'hello' then"),
        ("café  naïve", "cafe naive"),
        ("twenty-one", "twenty one"),
        ("  \t\n", ""),
        ("rock ' n ' roll", "rock n roll"),
        ("dogs' bowls", "dogs' bowls"),
    ],
)
def test_normalization_leaves_letters_apostrophes_and_single_spaces(text: str, normal: str) -> None:
    assert normalize(text) == normal


@given(st.text())
def test_normalizing_twice_changes_nothing(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert set(once) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_equal_texts_have_no_errors() -> None:
    found = score(["Play some jazz!", "stop"], ["play some jazz", "stop"])
    assert (found.wer, found.cer, found.clips_right_ratio) == (0.0, 0.0, 1.0)


def test_each_kind_of_error_is_counted() -> None:
    found = score(["set a timer", "go left", "stop"], ["set the timer", "go", "stop now"])
    assert (found.substitutions, found.deletions, found.insertions) == (1, 1, 1)
    assert (found.words, found.errors, found.wer) == (6, 3, 0.5)
    assert (found.clips, found.clips_right) == (3, 0)


def test_words_heard_in_silence_are_insertions() -> None:
    found = score(["", "go"], ["yes please", "go"])
    assert (found.insertions, found.words, found.wer) == (2, 1, 2.0)


def test_there_is_no_error_rate_without_reference_words() -> None:
    found = score(["", "..."], ["oh", ""])
    assert (found.wer, found.cer, found.errors, found.clips_right) == (None, None, 1, 1)


def test_no_clips_at_all_is_a_score_too() -> None:
    found = score([], [])
    assert (found.clips, found.wer, found.cer, found.clips_right_ratio) == (0, None, None, None)


def test_a_missing_hypothesis_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="2 references and 1 hypotheses"):
        score(["a", "b"], ["a"])


@given(st.lists(st.tuples(st.text("ab '", max_size=12), st.text("ab '", max_size=12)), max_size=5))
def test_errors_never_number_fewer_than_the_difference_in_length(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = [a for a, _ in pairs], [b for _, b in pairs]
    found = score(references, hypotheses)
    assert found.words == sum(len(normalize(text).split()) for text in references)
    assert found.words - found.deletions + found.insertions == sum(len(normalize(t).split()) for t in hypotheses)


def test_the_counter_of_errors_is_loaded_only_when_something_is_scored() -> None:
    code = "import sys, voxloop_proto.scoring; assert 'jiwer' not in sys.modules and 'rapidfuzz' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
