"""Sessions in which only hotwords may be said, against the definition of what is searched for."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.decoder import Decoded, LogProbs
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_decoder import DecodingGraph, GraphDecoder
from voxloop_cloud.graph_lexicon import GraphLexicon, Pronunciation
from voxloop_cloud.graph_testing import best_words, random_frames, spoken_frames
from voxloop_cloud.graph_topology import to_fst, with_ctc
from voxloop_cloud.hotword_graph import phrase_graph
from voxloop_cloud.pronouncer import SpokenPhrase

FRAME_MS = 20.0
A, B, C, D, BLANK = range(5)
WAYS: dict[str, tuple[Pronunciation, ...]] = {
    "ab": ((A, B),),
    "bee": ((B,), (B, B)),
    "sea": ((C,),),
    "cab": ((C, A, B), (C, A)),
}
CONFIG = DecoderConfig(
    beam=100,
    max_active=100_000,
    blank_threshold=1,
    least_evidence=-100,
    word_insertion=0,
    phrase_cost=0,
    phrase_blank_cost=0,
    unknown_phone_cost=4,
    least_phrase_confidence=0,
)
NOTHING_ELSE = CONFIG.model_copy(update={"unknown_phone_cost": 100})

seeds = st.integers(0, 10_000)
cuts = st.lists(st.integers(0, 9), max_size=20)


def closed(*phrases: str, config: DecoderConfig = CONFIG) -> DecodingGraph:
    spoken = [SpokenPhrase(tuple(each.split()), tuple(WAYS[word] for word in each.split())) for each in phrases]
    graph, lexicon = phrase_graph(spoken, BLANK, config)
    return DecodingGraph(to_fst(with_ctc(graph)), lexicon, BLANK, closed=True, blank_cost=config.phrase_blank_cost)


def decode(
    graph: DecodingGraph, log_probs: LogProbs, config: DecoderConfig = CONFIG, sizes: Sequence[int] = ()
) -> Decoded:
    decoder, start = GraphDecoder(graph, config, FRAME_MS), 0
    for size in [*sizes, len(log_probs)]:
        decoder.push(log_probs[start : start + size])
        assert decoder.hypothesis().stable_characters == 0
        start += size
    return decoder.result()


@settings(max_examples=40, deadline=None)
@given(seed=seeds, frames=st.integers(0, 6))
def test_the_text_is_the_best_row_of_phrases_each_at_the_cost_of_the_choice(seed: int, frames: int) -> None:
    log_probs = random_frames(seed, frames, BLANK + 1, sharpness=3.0)
    expected = best_words(
        log_probs, GraphLexicon([*WAYS.items()]), lambda words: len(words) * math.log(len(WAYS)), most_words=4
    )
    assert decode(closed(*WAYS, config=NOTHING_ELSE), log_probs).text == " ".join(expected)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, frames=st.integers(0, 80), sizes=cuts, threshold=st.sampled_from([0.4, 1.0]))
def test_the_outcome_does_not_depend_on_how_the_frames_were_cut(
    seed: int, frames: int, sizes: list[int], threshold: float
) -> None:
    log_probs = random_frames(seed, frames, BLANK + 1)
    config = CONFIG.model_copy(update={"blank_threshold": threshold})
    graph = closed("ab", "bee sea", "bee ab", "cab", config=config)
    assert decode(graph, log_probs, config, sizes) == decode(graph, log_probs, config)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, frames=st.integers(0, 60))
def test_the_text_is_made_of_whole_phrases_or_empty(seed: int, frames: int) -> None:
    words = decode(closed("ab sea", "cab"), random_frames(seed, frames, BLANK + 1, sharpness=1.0)).text.split()
    while words:
        length = 2 if words[:2] == ["ab", "sea"] else 1
        assert words[:length] in (["ab", "sea"], ["cab"])
        words = words[length:]


def test_phrases_have_their_words_times_and_confidences() -> None:
    path = [BLANK] * 5 + [A, A, B] + [BLANK] * 2 + [C] + [BLANK] * 3
    (first, second) = decode(closed("ab sea", "cab"), spoken_frames(path, BLANK + 1, 0.9)).words
    assert (first.text, first.start_ms, first.end_ms) == ("ab", 100.0, 160.0)
    assert (second.text, second.start_ms, second.end_ms) == ("sea", 200.0, 220.0)
    assert first.confidence == pytest.approx(0.9)


def test_several_phrases_may_follow_each_other_with_or_without_a_pause() -> None:
    path = [C, A, B, BLANK, BLANK, BLANK, C, C, A, B]
    assert decode(closed("sea", "ab"), spoken_frames(path, BLANK + 1, 0.99)).text == "sea ab sea ab"


@pytest.mark.parametrize("path", [[D, BLANK, D, A, D], [A, D, D, B, D], [B, BLANK, D, C, D]])
def test_what_is_none_of_the_phrases_gives_an_empty_text(path: list[int]) -> None:
    assert decode(closed("ab", "cab"), spoken_frames(path, BLANK + 1, 0.999)).text == ""


def test_a_phrase_that_was_not_said_to_its_end_gives_an_empty_text() -> None:
    assert decode(closed("ab sea"), spoken_frames([A, B, BLANK], BLANK + 1, 0.999999)).text == ""
    assert decode(closed("ab sea"), spoken_frames([A, B, C], BLANK + 1, 0.999999)).text == "ab sea"


def test_unknown_phones_that_cost_more_leave_more_to_the_phrases() -> None:
    heard = spoken_frames([A, D, BLANK], BLANK + 1, 0.9999)
    dear = CONFIG.model_copy(update={"unknown_phone_cost": 20})
    assert decode(closed("ab"), heard).text == ""
    assert decode(closed("ab", config=dear), heard, dear).text == "ab"


def test_blanks_that_cost_bring_back_what_was_hardly_heard() -> None:
    faint = spoken_frames([BLANK, A, BLANK, B, BLANK], BLANK + 1, 0.97)
    faint[[1, 3]] = faint[0]
    brave = CONFIG.model_copy(update={"phrase_blank_cost": 6.0})
    assert decode(closed("ab"), faint).text == ""
    assert decode(closed("ab", config=brave), faint, brave).text == "ab"


def test_silence_gives_no_words() -> None:
    assert decode(closed("ab", "sea"), spoken_frames([BLANK] * 200, BLANK + 1, 0.99)).words == ()


def test_words_that_phrases_begin_with_are_there_once() -> None:
    one, _ = phrase_graph([SpokenPhrase(("ab", "sea"), (WAYS["ab"], WAYS["sea"]))], BLANK, CONFIG)
    two, _ = phrase_graph(
        [SpokenPhrase(("ab", word), (WAYS["ab"], WAYS[word])) for word in ("sea", "bee")], BLANK, CONFIG
    )
    assert two.states - one.states == 2  # bee: an end, and one between its two phones
