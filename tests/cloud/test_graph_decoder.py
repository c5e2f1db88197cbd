"""The graph decoder against the definition of what it searches for, and its promises to streams."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.decoder import Decoded, LogProbs
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_decoder import DecodingGraph, GraphDecoder, decoding_graph
from voxloop_cloud.graph_lexicon import GraphLexicon
from voxloop_cloud.graph_testing import best_words, loop_graph, random_frames, spoken_frames

FRAME_MS = 20.0
A, B, C, BLANK = range(4)
ENTRIES = [
    ("ab", ((A, B),)),
    ("abc", ((A, B, C),)),
    ("bee", ((B,), (B, B))),
    ("sea", ((C,),)),
    ("cab", ((C, A, B), (C, A))),
]
COSTS = [1.0, 1.5, 2.0, 2.5, 1.2]
LEXICON = GraphLexicon(ENTRIES)


def search_config(**settings: float) -> DecoderConfig:
    """Settings under which nothing is too unlikely to be written, as random frames say little, and words are free."""
    return DecoderConfig.model_validate({"least_evidence": -100.0, "word_insertion": 0.0, **settings})


WIDE = search_config(beam=100, max_active=100_000, blank_threshold=1, commit_ms=60_000)
GRAPH = decoding_graph(loop_graph(ENTRIES, COSTS, BLANK), LEXICON, WIDE)

seeds = st.integers(0, 10_000)
cuts = st.lists(st.integers(0, 9), max_size=20)


def decode(
    log_probs: LogProbs, config: DecoderConfig = WIDE, sizes: Sequence[int] = (), graph: DecodingGraph = GRAPH
) -> Decoded:
    decoder, start = GraphDecoder(graph, config, FRAME_MS), 0
    for size in [*sizes, len(log_probs)]:
        decoder.push(log_probs[start : start + size])
        decoder.hypothesis()
        start += size
    assert decoder.frames == len(log_probs)
    return decoder.result()


def cost_of(words: tuple[str, ...]) -> float:
    return sum(COSTS[[word for word, _ in ENTRIES].index(each)] for each in words)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, frames=st.integers(0, 6))
def test_the_text_is_the_best_one_by_the_definition(seed: int, frames: int) -> None:
    log_probs, exact = random_frames(seed, frames, BLANK + 1), search_config(acoustic_scale=1.0)
    assert tuple(decode(log_probs, exact).text.split()) == best_words(log_probs, LEXICON, cost_of, most_words=4)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, frames=st.integers(0, 120), sizes=cuts, commit_ms=st.sampled_from([0.0, 200.0, 60_000.0]))
def test_the_outcome_does_not_depend_on_how_the_frames_were_cut(
    seed: int, frames: int, sizes: list[int], commit_ms: float
) -> None:
    log_probs = random_frames(seed, frames, BLANK + 1)
    config = search_config(commit_ms=commit_ms, blank_threshold=0.5)
    assert decode(log_probs, config, sizes) == decode(log_probs, config)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, frames=st.integers(0, 120), commit_ms=st.sampled_from([0.0, 100.0, 400.0]))
def test_what_a_hypothesis_calls_stable_never_changes(seed: int, frames: int, commit_ms: float) -> None:
    decoder, stable = GraphDecoder(GRAPH, search_config(commit_ms=commit_ms), FRAME_MS), ""
    for frame in random_frames(seed, frames, BLANK + 1):
        decoder.push(frame[None])
        hypothesis = decoder.hypothesis()
        assert hypothesis.text.startswith(stable)
        assert hypothesis.stable_characters >= len(stable)
        stable = hypothesis.text[: hypothesis.stable_characters]
    assert decoder.result().text.startswith(stable)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, frames=st.integers(0, 120), threshold=st.sampled_from([0.3, 0.6, 1.0]))
def test_words_are_the_texts_words_in_order_and_within_the_frames(seed: int, frames: int, threshold: float) -> None:
    decoded = decode(random_frames(seed, frames, BLANK + 1), search_config(blank_threshold=threshold))
    assert [word.text for word in decoded.words] == decoded.text.split()
    edges = [edge for word in decoded.words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= frames * FRAME_MS for edge in edges)
    assert all(0 <= word.confidence <= 1 for word in decoded.words)


def test_a_word_lasts_from_its_first_phones_first_frame_to_its_last_phones_last_frame() -> None:
    path = [BLANK] * 5 + [C, C, A, BLANK, B, B] + [BLANK] * 8 + [C] + [BLANK] * 3
    (first, second) = decode(spoken_frames(path, BLANK + 1, 0.99), search_config(blank_threshold=0.9)).words
    assert (first.text, first.start_ms, first.end_ms) == ("cab", 100.0, 220.0)
    assert (second.text, second.start_ms, second.end_ms) == ("sea", 380.0, 400.0)
    assert first.confidence == pytest.approx(0.99)


def test_a_phone_twice_needs_a_blank_between() -> None:
    assert decode(spoken_frames([B, B, B], BLANK + 1, 0.999)).tokens == (B,)
    assert decode(spoken_frames([B, BLANK, B], BLANK + 1, 0.999)).tokens == (B, B)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.999])
def test_silence_gives_no_words(probability: float) -> None:
    silent = spoken_frames([BLANK] * 200, BLANK + 1, probability)
    decoded = decode(silent, DecoderConfig())
    assert (decoded.text, decoded.words, decoded.tokens) == ("", (), ())
    assert decoded.confidence == pytest.approx(probability, abs=1e-3)


def test_no_frames_give_no_words_and_no_confidence() -> None:
    assert decode(np.zeros((0, BLANK + 1), np.float32)) == Decoded("", (), 0.0, ())


def test_blanks_that_are_sure_cost_one_frame_of_search_however_many_they_are() -> None:
    decoder = GraphDecoder(GRAPH, search_config(blank_threshold=0.9), FRAME_MS)
    decoder.push(spoken_frames([A, *[BLANK] * 500, B], BLANK + 1, 0.95))
    assert decoder.searched_frames == 3
    assert decoder.result().text == "ab"


def test_a_reward_for_words_makes_more_of_them() -> None:
    def words(reward: float) -> int:
        config = WIDE.model_copy(update={"word_insertion": reward})
        graph = decoding_graph(loop_graph(ENTRIES, COSTS, BLANK), LEXICON, config)
        return sum(len(decode(random_frames(seed, 40, BLANK + 1), config, graph=graph).words) for seed in range(5))

    assert words(-4) < words(0) < words(4)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, frames=st.integers(1, 40))
def test_alternatives_are_other_texts_the_likeliest_first(seed: int, frames: int) -> None:
    decoded = decode(random_frames(seed, frames, BLANK + 1), search_config(alternatives=3))
    texts = [other.text for other in decoded.alternatives]
    confidences = [other.confidence for other in decoded.alternatives]
    assert len({*texts, decoded.text}) == len(texts) + 1
    assert len(texts) <= 3
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) <= 1


def test_what_sounds_nearly_alike_is_an_alternative() -> None:
    frames = spoken_frames([C, BLANK, A, BLANK, B], BLANK + 1, 0.9)
    frames[4, [B, BLANK]] = np.log([0.5, 0.45])
    decoded = decode(frames, search_config(alternatives=2))
    assert decoded.text == "cab"
    other = decode(spoken_frames([A, B, BLANK, BLANK, C], BLANK + 1, 0.5), search_config(alternatives=8))
    assert {"ab sea", "abc"} - {other.text} <= {each.text for each in other.alternatives}


@pytest.mark.parametrize(("likelier_nats", "written"), [(1.0, False), (3.0, False), (4.0, True), (9.0, True)])
def test_words_that_are_hardly_likelier_than_silence_are_not_written(likelier_nats: float, written: bool) -> None:
    config = search_config(acoustic_scale=5.0, least_evidence=3.5, commit_ms=0.0)
    decoder = GraphDecoder(GRAPH, config, FRAME_MS)
    decoder.push(np.repeat(frames_of([C, A, B, C, A, B], likelier_nats), 12, axis=0))
    assert decoder.result().text == ("cab cab" if written else "")
    assert (decoder.hypothesis().stable_characters > 0) == written


def frames_of(phones: Sequence[int], likelier_nats: float) -> LogProbs:
    """A frame for each phone, which is so much likelier than the blank; all else is far less likely."""
    scores = np.full((len(phones), BLANK + 1), -20.0, np.float32)
    scores[:, BLANK] = 0.0
    scores[np.arange(len(phones)), phones] = likelier_nats
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), np.float32)
