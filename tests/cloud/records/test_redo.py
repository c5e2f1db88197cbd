"""The redo detector: what is alike, what is not, and what cannot be compared."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.feature_statistics import BANDS, FeatureStatistics
from voxloop_cloud.records.clip_key import device_digest
from voxloop_cloud.records.redo import (
    LONGEST_GAP_S,
    REDO_THRESHOLD,
    SLICES,
    Said,
    outline_of,
    redo_probability,
    sound_likeness,
)
from voxloop_cloud.records.redo_watch import KEPT_S, RedoWatch
from voxloop_cloud.records.testing import NOON_S, some_heard, some_hello
from voxloop_cloud.records.utterance import make_record
from voxloop_proto.v1 import voxloop_pb2 as pb

HELLO = some_hello()


def sketch(seed: int, slices: int = 30) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Sound that changes slowly, as speech does."""
    corners = np.random.default_rng(seed).normal(-8, 3, (6, BANDS))
    places = np.linspace(0, 5, slices)
    bands = [np.interp(places, np.arange(6), corners[:, band]) for band in range(BANDS)]
    return np.stack(bands, axis=1).astype(np.float32)


def said(text: str = "lights on", seed: int = 0, start_s: float = 0.0, slices: int = 30) -> Said:
    return Said(text, start_s, start_s + 2.0, outline_of(sketch(seed, slices)))


def test_an_outline_has_one_size_whatever_the_length() -> None:
    for slices in (1, 2, 24, 250):
        assert outline_of(sketch(0, slices)).shape == (SLICES, BANDS)


def test_the_same_said_slower_sounds_the_same_and_something_else_does_not() -> None:
    outline = outline_of(sketch(0))
    assert sound_likeness(outline, outline) == pytest.approx(1.0, abs=1e-5)
    assert sound_likeness(outline, outline_of(sketch(0, 45))) > 0.95
    assert sound_likeness(outline, outline_of(sketch(1))) < 0.7


@given(st.integers(0, 50), st.integers(0, 50))
def test_likeness_is_the_same_both_ways(first: int, second: int) -> None:
    one, other = outline_of(sketch(first)), outline_of(sketch(second))
    assert sound_likeness(one, other) == pytest.approx(sound_likeness(other, one), abs=1e-5)


def test_saying_it_again_is_a_redo_and_saying_something_else_is_none() -> None:
    first = said()
    assert redo_probability(first, said(start_s=4.0)) > REDO_THRESHOLD
    assert redo_probability(first, said("what time is it", 1, start_s=4.0)) < REDO_THRESHOLD


def test_the_probability_grows_with_each_likeness() -> None:
    first = said()
    same = redo_probability(first, said(start_s=4.0))
    assert redo_probability(first, said("lights off", start_s=4.0)) < same
    assert redo_probability(first, said(seed=1, start_s=4.0)) < same


@pytest.mark.parametrize("gap_s", [-1.0, LONGEST_GAP_S + 1.0, 1e6])
def test_what_does_not_follow_soon_is_no_redo(gap_s: float) -> None:
    assert redo_probability(said(), said(start_s=2.0 + gap_s)) == 0.0


def test_without_sound_the_text_still_says_something() -> None:
    first, again, other = (replace(said(text), outline=None) for text in ("lights on", "lights on", "what time is it"))
    assert redo_probability(first, replace(again, start_s=3.0)) > redo_probability(first, replace(other, start_s=3.0))


def test_a_session_is_followed_and_others_do_not_disturb_it() -> None:
    watch, other = RedoWatch(), some_hello("s2")
    pairs = [
        (some_heard(HELLO, 1, "lights", start_s=0.0), None),
        (some_heard(other, 1, "play", start_s=0.0, seed=1), None),
        (some_heard(HELLO, 2, "lights", start_s=3.0), 1),
        (some_heard(HELLO, 3, "what time is it", start_s=6.0, seed=2), 2),
    ]
    found = []
    for heard, first in pairs:
        redo = watch.follow(heard, make_record(heard))
        assert (redo and redo.segment_id) == first
        found.append(redo)
    assert found[2] is not None
    assert found[3] is not None
    assert found[2].probability > REDO_THRESHOLD > found[3].probability


def test_what_is_missing_or_failed_or_cut_in_two_parts_utterances() -> None:
    failure = pb.Failure(segment_id=2, code=pb.FAILURE_CODE_MODEL)
    first, third = some_heard(HELLO, 1), some_heard(HELLO, 3, start_s=3.0)
    assert first.end is not None
    long = replace(first, end=pb.SegmentEnd(segment_id=1, reason=pb.END_REASON_MAX_LENGTH))
    for between in (
        [first],
        [first, some_heard(HELLO, 2, failure=failure)],
        [replace(long, start=pb.SegmentStart(segment_id=2))],
    ):
        watch = RedoWatch()
        for heard in [*between, third]:
            redo = watch.follow(heard, make_record(heard))
        assert redo is None


def test_the_watch_forgets_the_session_that_was_silent_for_longest() -> None:
    watch = RedoWatch(max_sessions=2)
    for session in ("s1", "s2", "s1", "s3"):
        heard = some_heard(some_hello(session), 1)
        watch.follow(heard, make_record(heard))
    again = [some_heard(some_hello(session), 2, start_s=3.0) for session in ("s1", "s2")]
    assert [watch.follow(heard, make_record(heard)) is not None for heard in again] == [True, False]


def test_what_an_erased_device_said_last_is_forgotten_and_that_of_others_is_not() -> None:
    watch, hellos = RedoWatch(), [some_hello("s1", "kitchen"), some_hello("s2", "attic")]
    for hello in hellos:
        heard = some_heard(hello, 1)
        watch.follow(heard, make_record(heard))
    watch.forget(device_digest("kitchen"))
    again = [some_heard(hello, 2, start_s=3.0) for hello in hellos]
    assert [watch.follow(heard, make_record(heard)) is not None for heard in again] == [False, True]


def test_what_was_said_is_forgotten_in_time_though_hardly_anybody_speaks() -> None:
    watch = RedoWatch()
    for session, arrived_s in (("s1", NOON_S), ("s2", NOON_S + KEPT_S + 1.0)):
        heard = some_heard(some_hello(session), 1, arrived_s=arrived_s)
        watch.follow(heard, make_record(heard))
    late = some_heard(some_hello("s1"), 2, start_s=3.0, arrived_s=NOON_S + KEPT_S + 2.0)
    assert watch.follow(late, make_record(late)) is None


@given(st.integers(1, 200), st.integers(1, 60))
def test_statistics_do_not_depend_on_how_the_frames_came(count: int, cut: int) -> None:
    frames = np.random.default_rng(count).normal(-8, 3, (count, 80)).astype(np.float32)
    statistics = FeatureStatistics()
    for start in range(0, count, cut):
        statistics.add(frames[start : start + cut])
    summary = statistics.summary()
    assert summary is not None
    assert summary.frames == count
    assert summary.mean == pytest.approx(float(frames.mean(dtype=np.float64)), abs=1e-4)
    assert summary.deviation == pytest.approx(float(frames.std(dtype=np.float64)), abs=1e-4)
    assert FeatureStatistics().summary() is None
