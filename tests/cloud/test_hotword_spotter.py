"""Spotting and aligning phones, against trying out every path."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.decoder import LogProbs
from voxloop_cloud.forced_alignment import force
from voxloop_cloud.graph_alignment import Run
from voxloop_cloud.graph_lexicon import Pronunciation
from voxloop_cloud.graph_testing import random_frames, spoken_frames
from voxloop_cloud.hotword_spotter import HotwordSpotter, HotwordTrie, Spotted, hotword_trie
from voxloop_cloud.pronouncer import SpokenPhrase

A, B, C, BLANK = range(4)

seeds = st.integers(0, 10_000)
readings = st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=3).map(tuple)


def trie(*phrases: Pronunciation, worst_phone: float = 100.0) -> HotwordTrie:
    spoken = [SpokenPhrase((f"word{place}",), ((phones,),)) for place, phones in enumerate(phrases)]
    return hotword_trie(spoken, worst_phone)


def spot(which: HotwordTrie, log_probs: LogProbs, sizes: Sequence[int] = ()) -> Spotted:
    spotter, start = HotwordSpotter(which, BLANK), 0
    for size in [*sizes, len(log_probs)]:
        spotter.push(log_probs[start : start + size])
        spotter.spotted(0)
        start += size
    return spotter.spotted(0)


def paths(frames: int, phones: Pronunciation) -> list[tuple[int, ...]]:
    """All paths of labels that say the phones."""
    every = itertools.product(range(BLANK + 1), repeat=frames)
    return [path for path in every if tuple(label for label, _ in itertools.groupby(path) if label != BLANK) == phones]


def score(log_probs: LogProbs, path: Sequence[int]) -> float:
    return float(log_probs[np.arange(len(path)), list(path)].sum())


@settings(max_examples=25, deadline=None)
@given(seed=seeds, frames=st.integers(1, 5), phones=readings)
def test_a_spotted_score_is_that_of_the_best_path_from_any_frame(seed: int, frames: int, phones: Pronunciation) -> None:
    log_probs = random_frames(seed, frames, BLANK + 1)
    missing = log_probs - log_probs.max(axis=1, keepdims=True)
    expected = {}
    for end in range(1, frames + 1):
        scores = [
            score(missing[start:end], path)
            for start in range(end)
            for path in paths(end - start, phones)
            if path[-1] == phones[-1]
        ]
        if scores:
            expected[end] = max(scores)
    found = spot(trie(phones), log_probs)
    assert dict(zip(found.end.tolist(), found.score.tolist(), strict=True)) == pytest.approx(expected, abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, frames=st.integers(0, 60), sizes=st.lists(st.integers(0, 9), max_size=20))
def test_what_is_spotted_does_not_depend_on_how_the_frames_were_cut(seed: int, frames: int, sizes: list[int]) -> None:
    log_probs = random_frames(seed, frames, BLANK + 1)
    which = trie((A, B), (A, B, C), (B, B), (C,), worst_phone=2.0)
    whole, cut = spot(which, log_probs), spot(which, log_probs, sizes)
    for name in ("reading", "start", "end", "score"):
        assert getattr(whole, name).tolist() == getattr(cut, name).tolist()


def test_a_phrase_is_found_where_it_was_said_and_one_that_was_not_is_not() -> None:
    frames = spoken_frames([C, BLANK, BLANK, A, A, BLANK, B, C], BLANK + 1, 0.99)
    found = spot(trie((A, B), (B, A), worst_phone=1.0), frames)
    assert found.reading.tolist() == [0]
    assert (found.start[0], found.end[0]) == (3, 7)
    assert found.score[0] == pytest.approx(0, abs=1e-5)


def test_what_began_before_a_frame_is_forgotten() -> None:
    spotter = HotwordSpotter(trie((A,), worst_phone=1.0), BLANK)
    spotter.push(spoken_frames([A, BLANK, A], BLANK + 1, 0.99))
    assert spotter.spotted(1).start.tolist() == [2]
    assert spotter.spotted(3).start.tolist() == []


def test_of_phrases_that_sound_alike_the_first_is_meant() -> None:
    both = trie((A, B), (A, B))
    assert both.phrases == 2
    assert [reading.words for reading in both.readings] == [("word0",)]


@settings(max_examples=25, deadline=None)
@given(seed=seeds, frames=st.integers(0, 5), phones=readings)
def test_an_alignment_is_the_best_path_of_its_phones(seed: int, frames: int, phones: Pronunciation) -> None:
    log_probs = random_frames(seed, frames, BLANK + 1)
    expected = max((score(log_probs, path) for path in paths(frames, phones)), default=-math.inf)
    found, runs = force(log_probs, phones, BLANK)
    assert found == pytest.approx(expected, abs=1e-4)
    assert tuple(run.phone for run in runs) == (phones if math.isfinite(expected) else ())


def test_an_alignment_tells_the_frames_of_each_phone() -> None:
    frames = spoken_frames([BLANK, A, A, BLANK, A, B, BLANK], BLANK + 1, 0.9)
    assert force(frames, (A, A, B), BLANK)[1] == [Run(A, 1, 2), Run(A, 4, 4), Run(B, 5, 5)]
