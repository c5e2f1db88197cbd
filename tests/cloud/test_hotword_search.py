"""Hotwords in free speech: put in where they explain the sound better, and nowhere else."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.decoder import Decoded, LogProbs
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_decoder import GraphDecoder, decoding_graph
from voxloop_cloud.graph_lexicon import GraphLexicon, Pronunciation
from voxloop_cloud.graph_testing import loop_graph, random_frames, spoken_frames
from voxloop_cloud.hotword_spotter import HotwordTrie, hotword_trie
from voxloop_cloud.pronouncer import SpokenPhrase

FRAME_MS = 20.0
A, B, C, D, BLANK = range(5)
ENTRIES: list[tuple[str, tuple[Pronunciation, ...]]] = [
    ("ab", ((A, B),)),
    ("abc", ((A, B, C),)),
    ("bee", ((B,), (B, B))),
    ("sea", ((C,),)),
]
CONFIG = DecoderConfig(
    beam=100,
    max_active=100_000,
    blank_threshold=0.99,
    least_evidence=-100,
    word_insertion=0,
    hotword_cost=1.0,
    hotword_phone_limit=5.0,
)
GRAPH = decoding_graph(loop_graph(ENTRIES, [3.0] * len(ENTRIES), BLANK), GraphLexicon(ENTRIES), CONFIG)

seeds = st.integers(0, 10_000)


def hotwords(**phrases: tuple[Pronunciation, ...]) -> HotwordTrie:
    """Phrases by name, `_` between the words, each word with one pronunciation."""
    return hotword_trie(
        [SpokenPhrase(tuple(name.split("_")), tuple((way,) for way in ways)) for name, ways in phrases.items()],
        CONFIG.hotword_phone_limit,
    )


def decode(
    log_probs: LogProbs, trie: HotwordTrie | None, config: DecoderConfig = CONFIG, sizes: Sequence[int] = ()
) -> Decoded:
    decoder, start = GraphDecoder(GRAPH, config, FRAME_MS, trie), 0
    for size in [*sizes, len(log_probs)]:
        decoder.push(log_probs[start : start + size])
        decoder.hypothesis()
        start += size
    return decoder.result()


NAMES = hotwords(dab=((D, A, B),), ada=((A, D, A),), sea_dee=((C,), (D, D)))


def test_a_word_that_no_lexicon_has_is_heard_with_its_times_and_confidence() -> None:
    heard = spoken_frames([C, BLANK, BLANK, D, A, A, BLANK, B, BLANK, A, B], BLANK + 1, 0.99)
    assert decode(heard, None).text == "sea ab ab"
    sea, dab, other = decode(heard, NAMES).words
    assert (sea.text, dab.text, other.text) == ("sea", "dab", "ab")
    assert (dab.start_ms, dab.end_ms) == (60.0, 160.0)
    assert dab.confidence == pytest.approx(0.99)
    assert decode(heard, NAMES).tokens == (C, D, A, B, A, B)


def test_a_phrases_words_have_times_of_their_own() -> None:
    sea, dee = decode(spoken_frames([BLANK, C, BLANK, D, BLANK, D], BLANK + 1, 0.9), NAMES).words
    assert (sea.text, sea.start_ms, sea.end_ms) == ("sea", 20.0, 40.0)
    assert (dee.text, dee.start_ms, dee.end_ms) == ("dee", 60.0, 120.0)


def test_a_hotword_that_sounds_like_a_word_wins_if_it_costs_less_than_the_grammars() -> None:
    heard = spoken_frames([A, B, BLANK], BLANK + 1, 0.9)
    for cost, text in ((2.9, "abbe"), (3.1, "ab")):
        config = CONFIG.model_copy(update={"hotword_cost": cost})
        assert decode(heard, hotwords(abbe=((A, B),)), config).text == text


def test_the_more_hotwords_the_dearer_is_each() -> None:
    heard = spoken_frames([A, B, BLANK], BLANK + 1, 0.9)
    others: dict[str, tuple[Pronunciation, ...]] = {f"other{i}": ((D,) * (i + 1),) for i in range(20)}
    assert decode(heard, hotwords(abbe=((A, B),), **others)).text == "ab"


def test_hotwords_that_were_not_said_change_nothing() -> None:
    heard = spoken_frames([A, B, BLANK, C, BLANK, BLANK, A, B, C], BLANK + 1, 0.999)
    assert decode(heard, NAMES) == decode(heard, None)


def test_a_hotword_takes_a_few_frames_of_a_word_that_stays() -> None:
    heard = spoken_frames([C, BLANK, A, B, BLANK, D, A, B, BLANK], BLANK + 1, 0.9)
    assert decode(heard, NAMES).text == "sea ab dab"


def test_two_hotwords_never_share_frames() -> None:
    both = hotwords(dad=((D, A, D),), dada=((D, A, D, A),))
    heard = spoken_frames([D, A, D, A], BLANK + 1, 0.9)
    assert decode(heard, both).text == "dada"


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    frames=st.integers(0, 120),
    sizes=st.lists(st.integers(0, 9), max_size=20),
    commit_ms=st.sampled_from([0.0, 200.0, 60_000.0]),
)
def test_the_outcome_does_not_depend_on_how_the_frames_were_cut(
    seed: int, frames: int, sizes: list[int], commit_ms: float
) -> None:
    log_probs = random_frames(seed, frames, BLANK + 1)
    config = CONFIG.model_copy(update={"commit_ms": commit_ms, "blank_threshold": 0.5})
    assert decode(log_probs, NAMES, config, sizes) == decode(log_probs, NAMES, config)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, frames=st.integers(0, 120), commit_ms=st.sampled_from([0.0, 100.0, 400.0]))
def test_what_a_hypothesis_calls_stable_never_changes(seed: int, frames: int, commit_ms: float) -> None:
    config = CONFIG.model_copy(update={"commit_ms": commit_ms})
    decoder, stable = GraphDecoder(GRAPH, config, FRAME_MS, NAMES), ""
    for frame in random_frames(seed, frames, BLANK + 1):
        decoder.push(frame[None])
        hypothesis = decoder.hypothesis()
        assert hypothesis.text.startswith(stable)
        assert hypothesis.stable_characters >= len(stable)
        stable = hypothesis.text[: hypothesis.stable_characters]
    assert decoder.result().text.startswith(stable)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, frames=st.integers(0, 120), commit_ms=st.sampled_from([0.0, 300.0]))
def test_words_are_the_texts_words_in_order_and_within_the_frames(seed: int, frames: int, commit_ms: float) -> None:
    config = CONFIG.model_copy(update={"commit_ms": commit_ms, "blank_threshold": 0.6})
    decoded = decode(random_frames(seed, frames, BLANK + 1), NAMES, config)
    assert [word.text for word in decoded.words] == decoded.text.split()
    edges = [edge for word in decoded.words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= frames * FRAME_MS for edge in edges)
    assert all(0 <= word.confidence <= 1 for word in decoded.words)


def test_hotwords_are_among_random_words_at_all() -> None:
    texts = [decode(random_frames(seed, 60, BLANK + 1), NAMES).text.split() for seed in range(5)]
    assert {"dab", "ada"} & {word for text in texts for word in text}
