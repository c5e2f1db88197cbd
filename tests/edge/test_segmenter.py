"""Where segments begin and end, whatever the VAD says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_edge.segmenter import UNLIMITED_MS, Segmenter, SegmenterConfig
from voxloop_edge.testing import as_recorded, judged_frames
from voxloop_proto.audio import PaddingPolicy, Pcm
from voxloop_proto.errors import ConfigError
from voxloop_proto.events import EndReason, Frame, JudgedFrame, SegmentAudio, SegmentEnded, SegmentEvent, SegmentStarted
from voxloop_proto.stage import run

FRAME_MS = 30
FRAME = FRAME_MS * 16
CONFIG = SegmenterConfig(min_speech_ms=90, onset_window_ms=150, max_segment_ms=1500, split_window_ms=600)
PADDING = PaddingPolicy(before_ms=100, after_ms=130)
ONSET_FRAMES, WINDOW_FRAMES = 3, 5

# Runs of frames that are alike: as speech is, and long enough for segments to be split.
patterns = st.lists(st.tuples(st.booleans(), st.integers(1, 70)), max_size=12).map(
    lambda runs: [voiced for voiced, length in runs for _ in range(length)]
) | st.lists(st.booleans(), max_size=200)


def sound(samples: int, seed: int = 1) -> Pcm:
    random_numbers = np.random.default_rng(seed)
    loudness = np.repeat(random_numbers.uniform(0.01, 0.5, samples // 800 + 1), 800)[:samples]
    return (loudness * random_numbers.uniform(-1, 1, samples)).astype(np.float32)


def segmenter(config: SegmenterConfig = CONFIG, padding: PaddingPolicy = PADDING) -> Segmenter:
    return Segmenter(config, padding, FRAME_MS)


def heard(pattern: list[bool], pcm: Pcm) -> list[tuple[SegmentStarted, Pcm, SegmentEnded]]:
    return as_recorded(run(segmenter(), judged_frames(pattern, FRAME, pcm)))


@given(pattern=patterns, missing=st.integers(0, FRAME - 1))
def test_segments_are_ordered_apart_within_the_maximum_and_equal_the_source(pattern: list[bool], missing: int) -> None:
    pcm = sound(max(0, len(pattern) * FRAME - missing))
    end = 0
    for number, (started, audio, ended) in enumerate(heard(pattern, pcm), start=1):
        assert started.segment_id == ended.segment_id == number
        assert end <= started.start_sample < ended.end_sample <= len(pcm)
        assert ended.end_sample - started.start_sample <= CONFIG.max_segment_ms * 16
        assert np.array_equal(audio, pcm[started.start_sample : ended.end_sample])
        assert started.start_sample <= ended.last_voiced_sample <= ended.end_sample
        end = ended.end_sample


@given(pattern=patterns)
def test_no_voiced_frame_is_lost_once_the_onset_rule_is_met(pattern: list[bool]) -> None:
    inside = np.zeros(len(pattern) * FRAME, bool)
    for started, _, ended in heard(pattern, sound(len(inside))):
        inside[started.start_sample : ended.end_sample] = True
    for last in range(len(pattern)):
        window = range(max(0, last - WINDOW_FRAMES + 1), last + 1)
        if pattern[last] and sum(pattern[number] for number in window) >= ONSET_FRAMES:
            for number in window:
                assert not pattern[number] or inside[number * FRAME : (number + 1) * FRAME].all()


@given(pattern=patterns)
def test_a_segment_that_ends_in_silence_ends_after_ms_past_its_last_voiced_sample(pattern: list[bool]) -> None:
    voiced = np.repeat(pattern, FRAME)
    for started, _, ended in heard(pattern, sound(len(pattern) * FRAME)):
        spoken = np.flatnonzero(voiced[started.start_sample : ended.end_sample])
        if len(spoken):
            assert ended.last_voiced_sample == started.start_sample + spoken[-1] + 1
        if ended.reason is EndReason.SILENCE and len(spoken):
            assert ended.end_sample == ended.last_voiced_sample + PADDING.after_ms * 16


@given(pattern=patterns)
def test_a_segment_that_is_not_a_continuation_goes_back_before_ms_before_its_speech(pattern: list[bool]) -> None:
    end, reason = 0, EndReason.SILENCE
    for started, _, ended in heard(pattern, sound(len(pattern) * FRAME)):
        if reason is EndReason.MAX_LENGTH:
            assert (started.start_sample, started.pre_roll_samples) == (end, 0)
        else:
            first_voiced = started.start_sample + started.pre_roll_samples
            assert pattern[first_voiced // FRAME]
            assert started.start_sample == max(end, first_voiced - PADDING.before_ms * 16)
        end, reason = ended.end_sample, ended.reason


@settings(max_examples=30)
@given(seed=st.integers(0, 1000))
def test_a_long_speech_is_split_at_the_quietest_point_of_the_window_and_loses_nothing(seed: int) -> None:
    frames = 230
    pcm = sound(frames * FRAME, seed)
    segments = heard([True] * frames, pcm)
    assert [ended.reason for _, _, ended in segments[:-1]] == [EndReason.MAX_LENGTH] * (len(segments) - 1)
    assert np.array_equal(np.concatenate([audio for _, audio, _ in segments]), pcm)
    power = np.square(pcm.astype(np.float64)).reshape(frames, FRAME).sum(axis=1)
    for started, _, ended in segments[:-1]:
        first = math.ceil((started.start_sample + 900 * 16) / FRAME)
        last = (started.start_sample + 1500 * 16) // FRAME
        borders = range(first, last)
        quietest = min(power[border - 1] + power[border] for border in borders)
        assert ended.held_samples == last * FRAME - ended.end_sample
        border = ended.end_sample // FRAME
        assert border in borders
        assert power[border - 1] + power[border] == pytest.approx(quietest, rel=1e-5)


def test_a_click_begins_no_segment() -> None:
    assert heard([False] * 20 + [True] * (ONSET_FRAMES - 1) + [False] * 20, sound(42 * FRAME)) == []


def test_silence_gives_no_segment() -> None:
    assert heard([False] * 100, np.zeros(100 * FRAME, np.float32)) == []


def test_sound_is_given_out_as_it_comes() -> None:
    stage = segmenter()
    pcm = sound(30 * FRAME)
    given_until = 0
    for number, judged in enumerate(judged_frames([True] * 30, FRAME, pcm)):
        for event in stage.push(judged):
            if isinstance(event, SegmentAudio):
                given_until = event.start_sample + len(event.pcm)
        assert given_until == ((number + 1) * FRAME if number + 1 >= ONSET_FRAMES else 0)


def test_a_jump_of_the_time_index_ends_the_segment() -> None:
    frames = judged_frames([True] * 20, FRAME, sound(20 * FRAME))
    later = [JudgedFrame(Frame(j.frame.start_sample + 90_000, j.frame.pcm, FRAME), j.voiced) for j in frames]
    first, second = as_recorded(run(segmenter(), frames + later))
    assert (first[2].end_sample, first[2].reason) == (20 * FRAME, EndReason.END_OF_STREAM)
    assert second[0].start_sample == 90_000


@given(pattern=patterns, change_at=st.integers(0, 300), most_ms=st.integers(600, 2000))
def test_what_begins_after_a_server_said_its_limit_keeps_to_it(
    pattern: list[bool], change_at: int, most_ms: int
) -> None:
    limit_ms = UNLIMITED_MS
    begun: dict[int, int] = {}
    stage = Segmenter(CONFIG, PADDING, FRAME_MS, lambda: limit_ms)
    events: list[SegmentEvent] = []
    for number, judged in enumerate(judged_frames(pattern, FRAME, sound(len(pattern) * FRAME))):
        limit_ms = most_ms if number >= change_at else UNLIMITED_MS
        found = stage.push(judged)
        begun |= {event.segment_id: limit_ms for event in found if isinstance(event, SegmentStarted)}
        events += found
    for started, _, ended in as_recorded([*events, *stage.flush()]):
        length_ms = (ended.end_sample - started.start_sample) / 16
        assert length_ms <= min(CONFIG.max_segment_ms, begun[started.segment_id])


def test_a_limit_that_leaves_no_room_for_speech_is_not_kept() -> None:
    stage = Segmenter(CONFIG, PADDING, FRAME_MS, lambda: 1)
    first, *_ = as_recorded(run(stage, judged_frames([True] * 50, FRAME, sound(50 * FRAME))))
    assert first[2].end_sample - first[0].start_sample > (PADDING.before_ms + CONFIG.onset_window_ms) * 16


def test_after_a_flush_it_is_as_new() -> None:
    stage = segmenter()
    frames = judged_frames([False] * 3 + [True] * 20 + [False] * 9, FRAME, sound(32 * FRAME))
    first, second = as_recorded(run(stage, frames)), as_recorded(run(stage, frames))
    assert first[0][0] == second[0][0]
    assert first[0][2] == second[0][2]


def test_levels_are_those_of_the_recording() -> None:
    frames = 40
    tone = np.sin(np.arange(frames * FRAME) * 0.3).astype(np.float32)
    pattern = [10 <= number < 30 for number in range(frames)]
    loud = np.repeat(pattern, FRAME)
    pcm = np.where(loud, 0.2 * tone, 0.002 * tone).astype(np.float32)
    ((started, _, ended),) = heard(pattern, pcm)
    assert started.raw_level_dbfs == pytest.approx(-57.0, abs=0.3)
    assert ended.measures.raw_level_dbfs == pytest.approx(-17.0, abs=0.3)
    assert ended.measures.snr_db == pytest.approx(40.0, abs=0.5)
    assert ended.measures.voiced_ratio == pytest.approx(600 / (600 + 100 + 130))
    assert ended.measures.clipped_ratio == 0.0


def test_clipped_samples_are_counted() -> None:
    pcm = sound(20 * FRAME)
    pcm[3000:3100] = 1.0
    ((_, _, ended),) = heard([True] * 20, pcm)
    assert ended.measures.clipped_ratio == pytest.approx(100 / len(pcm))


def test_padding_that_leaves_no_room_for_speech_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"padding.before_ms 2000"):
        segmenter(SegmenterConfig(max_segment_ms=2000, split_window_ms=500), PaddingPolicy(before_ms=2000))
