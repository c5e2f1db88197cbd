"""Speech comes out at one level, and nothing else is harmed on the way."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_edge.normalizer import Normalizer, NormalizerConfig
from voxloop_edge.testing import as_recorded
from voxloop_proto.audio import Pcm, level_dbfs
from voxloop_proto.events import (
    EndReason,
    SegmentAudio,
    SegmentEnded,
    SegmentEvent,
    SegmentMeasures,
    SegmentStarted,
)
from voxloop_proto.stage import run

MEASURES = SegmentMeasures(-30.0, 0.0, 1.0, 20.0)
PRE_ROLL = 4800


def speech(seconds: float, dbfs: float, background_dbfs: float = -75.0, seed: int = 3) -> Pcm:
    """Noise in syllables of 200 ms after a quiet pre-roll of 300 ms; dbfs is the level of the syllables."""
    samples = int(seconds * 16_000)
    noise = np.random.default_rng(seed).standard_normal(PRE_ROLL + samples).clip(-3, 3)
    loud = (np.arange(samples) // 3200) % 4 != 3
    level = np.concatenate((np.full(PRE_ROLL, background_dbfs), np.where(loud, dbfs, background_dbfs)))
    return (noise * 10 ** (level / 20)).astype(np.float32)


def segment(pcm: Pcm, lengths: list[int] | None = None, number: int = 1, start: int = 0) -> list[SegmentEvent]:
    events: list[SegmentEvent] = [SegmentStarted(number, start, PRE_ROLL, level_dbfs(pcm[:PRE_ROLL]))]
    cuts = np.cumsum(lengths or [480] * (len(pcm) // 480 + 1)).tolist()
    for first, last in pairwise([0, *(cut for cut in cuts if cut < len(pcm)), len(pcm)]):
        events.append(SegmentAudio(number, start + first, pcm[first:last]))
    return [*events, SegmentEnded(number, start + len(pcm), start + len(pcm), EndReason.SILENCE, MEASURES)]


def levelled(pcm: Pcm, config: NormalizerConfig | None = None) -> Pcm:
    return as_recorded(run(Normalizer(config or NormalizerConfig()), segment(pcm)))[0][1]


def level_of_speech(pcm: Pcm, from_s: float = 0.0) -> float:
    blocks = np.square(pcm[PRE_ROLL + int(from_s * 16_000) :]).reshape(-1, 160).mean(axis=1)
    return float(10 * np.log10(blocks[blocks > blocks.max() / 100].mean()))


@pytest.mark.parametrize("dbfs", [-50, -40, -30, -20, -12])
def test_speech_of_any_level_comes_out_at_the_target_from_its_first_syllable_on(dbfs: float) -> None:
    heard = levelled(speech(4, dbfs))
    assert level_of_speech(heard[: PRE_ROLL + 3200]) == pytest.approx(-23, abs=1.5)
    assert level_of_speech(heard, from_s=1) == pytest.approx(-23, abs=1)


def test_the_gain_never_exceeds_its_maximum() -> None:
    events = run(Normalizer(NormalizerConfig(max_gain_db=12)), segment(speech(3, -60, -90)))
    gains = [event.gain_db for event in events if isinstance(event, SegmentAudio)]
    assert max(gains) == pytest.approx(12)


def test_background_between_words_does_not_raise_the_gain() -> None:
    pcm = speech(2, -30)
    pause = speech(5, -62, -62)[PRE_ROLL:]
    events = list(run(Normalizer(NormalizerConfig()), segment(np.concatenate((pcm, pause)))))
    gains = [event.gain_db for event in events if isinstance(event, SegmentAudio) and event.start_sample > len(pcm)]
    assert max(gains) - min(gains) < 0.1


def test_a_silent_segment_stays_silent() -> None:
    assert not levelled(np.zeros(20_000, np.float32)).any()


@settings(max_examples=50)
@given(
    seed=st.integers(0, 10_000), dbfs=st.floats(-60, 15), burst_db=st.floats(0, 40), at=st.integers(PRE_ROLL, 30_000)
)
def test_no_sample_goes_past_the_ceiling(seed: int, dbfs: float, burst_db: float, at: int) -> None:
    pcm = speech(2, dbfs, seed=seed)
    pcm[at : at + 500] *= np.float32(10 ** (burst_db / 20))
    assert np.abs(levelled(pcm)).max() <= 10 ** (-1 / 20) + 1e-5


def test_after_a_loud_burst_the_gain_comes_back() -> None:
    pcm = speech(6, -30)
    pcm[32_000:32_200] *= 30
    heard = levelled(pcm)
    assert level_of_speech(heard, from_s=4) == pytest.approx(-23, abs=1.5)


def test_the_gain_changes_no_faster_than_its_limits() -> None:
    config = NormalizerConfig()
    pcm = np.concatenate((speech(2, -20), speech(3, -45)[PRE_ROLL:]))
    events = list(run(Normalizer(config), segment(pcm, [160] * (len(pcm) // 160))))
    gains = [event.gain_db for event in events if isinstance(event, SegmentAudio)]
    steps = np.diff(gains)
    assert steps.max() <= config.release_db_per_s * 0.010 + 1e-6
    assert steps.min() >= -config.fall_db_per_s * 0.010 - 1e-6


@settings(max_examples=40)
@given(lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=60), samples=st.integers(1, 20_000))
def test_the_sound_does_not_depend_on_how_it_was_cut(lengths: list[int], samples: int) -> None:
    pcm = speech(2, -35)[:samples]
    whole = as_recorded(run(Normalizer(NormalizerConfig()), segment(pcm, [len(pcm)])))[0]
    pieces = as_recorded(run(Normalizer(NormalizerConfig()), segment(pcm, lengths)))[0]
    assert whole[0] == pieces[0]
    assert len(pieces[1]) == len(pcm)
    np.testing.assert_allclose(pieces[1], whole[1], rtol=1e-5, atol=1e-8)


def test_a_second_segment_goes_on_with_what_was_learned() -> None:
    stage = Normalizer(NormalizerConfig())
    events: list[SegmentEvent] = []
    for item in segment(speech(3, -40)) + segment(speech(3, -40), number=2, start=100_000):
        events.extend(stage.push(item))
    starts = [event for event in events if isinstance(event, SegmentStarted)]
    assert starts[1].gain_db == pytest.approx(17, abs=1.5)


def test_switched_off_it_changes_nothing() -> None:
    events = segment(speech(1, -40))
    assert list(run(Normalizer(NormalizerConfig(enabled=False)), events)) == events
