"""The CTC decoder against the definition of CTC, and its promises about words and stability."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.decoder import SPACE, CtcDecoder, Decoded, LogProbs

TOKENS = (SPACE, "a", "b", "c", "<blk>")
BLANK = 4
FRAME_MS = 20.0

paths = st.lists(st.integers(0, BLANK), max_size=40)
cuts = st.lists(st.integers(0, 7), max_size=12)


def log_probs_of(path: list[int], probability: float = 0.6) -> LogProbs:
    """Log-probabilities (T, V) whose best path is the given one."""
    rest = (1 - probability) / (len(TOKENS) - 1)
    out = np.full((len(path), len(TOKENS)), rest, np.float32)
    out[np.arange(len(path)), path] = probability
    return np.log(out)


def decode(path: list[int], sizes: list[int] | None = None, tokens: tuple[str, ...] = TOKENS) -> Decoded:
    decoder = CtcDecoder(tokens, len(tokens) - 1, FRAME_MS)
    frames, start = log_probs_of(path), 0
    for size in [*(sizes or []), len(path)]:
        decoder.push(frames[start : start + size])
        start += size
    return decoder.result()


@given(path=paths)
def test_tokens_are_the_path_with_repeats_merged_and_blanks_dropped(path: list[int]) -> None:
    expected = [token for token, _ in itertools.groupby(path) if token != BLANK]
    decoded = decode(path)
    assert list(decoded.tokens) == expected
    assert decoded.text == " ".join("".join(TOKENS[token] for token in expected).replace(SPACE, " ").split())


@given(path=paths, sizes=cuts)
def test_the_outcome_does_not_depend_on_how_the_frames_were_cut(path: list[int], sizes: list[int]) -> None:
    assert decode(path, sizes) == decode(path)


@given(path=paths)
def test_words_are_the_texts_words_in_order_and_within_the_frames(path: list[int]) -> None:
    decoded = decode(path)
    assert [word.text for word in decoded.words] == decoded.text.split()
    edges = [edge for word in decoded.words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert all(word.start_ms < word.end_ms for word in decoded.words)
    assert all(0 <= edge <= len(path) * FRAME_MS for edge in edges)


@given(path=paths)
def test_what_a_hypothesis_calls_stable_never_changes(path: list[int]) -> None:
    decoder = CtcDecoder(TOKENS, BLANK, FRAME_MS)
    stable = ""
    for frame in log_probs_of(path):
        decoder.push(frame[None])
        hypothesis = decoder.hypothesis()
        assert hypothesis.text.startswith(stable)
        stable = hypothesis.text[: hypothesis.stable_characters]
    assert decoder.result().text.startswith(stable)
    assert decoder.frames == len(path)


def test_a_word_lasts_from_its_first_tokens_first_frame_to_its_last_tokens_last_frame() -> None:
    (first, second) = decode([BLANK, 1, 1, BLANK, 2, 2, 0, BLANK, 3]).words
    assert (first.text, first.start_ms, first.end_ms) == ("ab", 20.0, 120.0)
    assert (second.text, second.start_ms, second.end_ms) == ("c", 160.0, 180.0)


def test_word_pieces_that_begin_with_the_word_mark_begin_a_word() -> None:
    tokens = ("\u2581he", "llo", "\u2581you", "x", "<blk>")
    assert [word.text for word in decode([0, 1, 4, 2], tokens=tokens).words] == ["hello", "you"]


def test_confidence_is_the_mean_of_each_tokens_best_probability() -> None:
    decoder = CtcDecoder(TOKENS, BLANK, FRAME_MS)
    decoder.push(np.concatenate([log_probs_of([1], 0.5), log_probs_of([1], 0.9), log_probs_of([2], 0.7)]))
    decoded = decoder.result()
    assert decoded.confidence == pytest.approx(0.8)
    assert decoded.words[0].confidence == pytest.approx(0.8)


@pytest.mark.parametrize(("path", "confidence"), [([], 0.0), ([BLANK, BLANK], 0.6), ([BLANK, 0, BLANK], 0.1)])
def test_confidence_of_a_null_transcript_is_the_blanks_lowest_probability(path: list[int], confidence: float) -> None:
    decoded = decode(path)
    assert decoded.text == ""
    assert decoded.words == ()
    assert decoded.confidence == pytest.approx(confidence)
