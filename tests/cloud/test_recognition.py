"""Streaming equals offline, however the sound is cut; a batch equals its streams one by one."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.decoder import Decoded, LogProbs
from voxloop_cloud.recognition import SegmentRecognition, transcribe
from voxloop_cloud.recognizer import Recognizer, State
from voxloop_cloud.testing import babble
from voxloop_proto.audio import Pcm
from voxloop_proto.testing import cut

TOLERANCE = 1e-5


def stream(recognizer: Recognizer, pieces: list[Pcm]) -> tuple[Decoded, npt.NDArray[np.float32]]:
    """What comes of sound that arrives in pieces, each recognised as far as it goes before the next."""
    segment = SegmentRecognition(recognizer)
    rows = [np.zeros((0, len(recognizer.bundle.tokens)), np.float32)]
    for piece in [*pieces, None]:
        if piece is None:
            segment.finish()
        else:
            segment.push(piece)
        while (window := segment.next_window()) is not None:
            log_probs, (state,) = recognizer.step([segment.state], window[None])
            rows.append(log_probs[0])
            segment.take(log_probs[0], state)
    assert segment.finished
    return segment.result(), np.concatenate(rows)


@settings(deadline=None, max_examples=25)
@given(
    duration_ms=st.integers(0, 2500),
    seed=st.integers(0, 5),
    lengths=st.lists(st.integers(0, 9000), min_size=1, max_size=8).filter(any),
)
def test_streaming_equals_offline_however_the_sound_is_cut(
    recognizer: Recognizer, duration_ms: int, seed: int, lengths: list[int]
) -> None:
    pcm = babble(duration_ms, seed)
    whole, whole_rows = stream(recognizer, [pcm])
    pieces, pieces_rows = stream(recognizer, [chunk.pcm for chunk in cut(pcm, lengths)])
    assert pieces == whole == transcribe(recognizer, pcm)
    np.testing.assert_allclose(pieces_rows, whole_rows, atol=TOLERANCE)


def test_the_tiny_models_text_is_long_enough_to_show_a_mistake(recognizer: Recognizer) -> None:
    decoded = transcribe(recognizer, babble(5000))
    assert len(decoded.tokens) > 30
    assert len(set(decoded.tokens)) > 5


@pytest.mark.parametrize("cache", [0, 1, 2], ids=["channel", "time", "channel_length"])
def test_each_cache_matters_to_the_tiny_model(recognizer: Recognizer, cache: int) -> None:
    random = np.random.default_rng(0)
    windows = random.normal(-8, 4, (2, 1, 35, 80)).astype(np.float32)
    _, (state,) = recognizer.step([recognizer.start()], windows[0])
    before, _ = recognizer.step([state], windows[1])
    kept = list(state.caches)
    kept[cache] = recognizer.start().caches[cache]
    forgetful = State(tuple(kept))
    after, _ = recognizer.step([forgetful], windows[1])
    assert np.abs(after - before).max() > 0.01


def test_silence_gives_a_null_transcript(recognizer: Recognizer) -> None:
    decoded = transcribe(recognizer, np.zeros(16_000, np.float32))
    assert (decoded.text, decoded.words, decoded.tokens) == ("", (), ())
    assert 0 < decoded.confidence <= 1


def test_a_segment_too_short_for_a_frame_is_a_null_transcript_without_confidence(recognizer: Recognizer) -> None:
    assert transcribe(recognizer, np.zeros(79, np.float32)) == Decoded("", (), 0.0, ())


@settings(deadline=None, max_examples=25)
@given(samples=st.integers(0, 20_000))
def test_every_frame_is_among_the_first_of_a_window_and_no_step_is_without_one(
    recognizer: Recognizer, samples: int
) -> None:
    config = recognizer.bundle.config
    frames = config.features.frames_in(samples)
    assert config.chunk is not None
    steps = config.chunk.steps_for(frames)
    assert (steps - 1) * config.chunk.shift_frames < frames or steps == 0
    assert frames <= steps * config.chunk.shift_frames
    _, rows = stream(recognizer, [babble(1250)[:samples]])
    assert len(rows) == steps * config.chunk.shift_frames // config.chunk.subsampling_factor


def test_no_word_reaches_past_the_segments_end(recognizer: Recognizer) -> None:
    pcm = babble(1010, seed=2)
    decoded = transcribe(recognizer, pcm)
    assert decoded.words[-1].end_ms <= 1010
    edges = [edge for word in decoded.words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)


def test_a_window_stays_the_same_until_it_is_taken(recognizer: Recognizer) -> None:
    segment = SegmentRecognition(recognizer)
    assert segment.next_window() is None
    segment.push(babble(1000))
    window = segment.next_window()
    segment.push(babble(1000, seed=1))
    assert window is not None
    assert segment.next_window() is window
    assert segment.recognized_samples == 0
    log_probs, (state,) = recognizer.step([segment.state], window[None])
    segment.take(log_probs[0], state, busy_ms=3.0, waited_ms=2.0)
    assert segment.state is state
    assert segment.next_window() is not window
    assert segment.recognized_samples == 32 * 160
    timings = {timing.stage: timing for timing in segment.timings()}
    assert list(timings) == ["features", "recognizer", "decoder"]
    assert (timings["recognizer"].busy_ms, timings["recognizer"].wait_ms) == (3.0, 2.0)
    assert timings["features"].busy_ms > 0


def test_a_batch_equals_its_streams_one_by_one(recognizer: Recognizer) -> None:
    random = np.random.default_rng(7)
    windows = random.normal(-8, 4, (3, 5, 35, 80)).astype(np.float32)
    batch = alone = [recognizer.start()] * 5
    for step in range(3):
        together, batch = recognizer.step(batch, windows[step])
        singles = [recognizer.step([state], windows[step, row][None]) for row, state in enumerate(alone)]
        alone = [state for _, (state,) in singles]
        np.testing.assert_allclose(together, np.concatenate([log_probs for log_probs, _ in singles]), atol=TOLERANCE)
        for one, other in zip(batch, alone, strict=True):
            for ours, theirs in zip(one.caches, other.caches, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


def test_a_state_is_never_written_to(recognizer: Recognizer) -> None:
    _, (state,) = recognizer.step([recognizer.start()], np.ones((1, 35, 80), np.float32))
    copy = [cache.copy() for cache in state.caches]
    first, _ = recognizer.step([state], np.zeros((1, 35, 80), np.float32))
    second, _ = recognizer.step([state], np.zeros((1, 35, 80), np.float32))
    np.testing.assert_array_equal(first, second)
    for before, after in zip(copy, state.caches, strict=True):
        np.testing.assert_array_equal(before, after)
    assert not any(cache.any() for cache in recognizer.start().caches)


def test_streaming_equals_offline_for_a_real_bundle(real_bundle: Bundle) -> None:
    real = Recognizer(real_bundle)
    pcm = babble(3000, seed=4)
    whole, whole_rows = stream(real, [pcm])
    pieces, pieces_rows = stream(real, [chunk.pcm for chunk in cut(pcm, [320, 7, 5000])])
    assert pieces == whole
    np.testing.assert_allclose(pieces_rows, whole_rows, atol=TOLERANCE)


@pytest.mark.parametrize("shares_cache", [True, False])
def test_states_that_are_used_up_give_the_same_values_and_leave_the_start_alone(
    bundle: Bundle, shares_cache: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams in batches of all sizes: whether or not a cache may be read and written at one place is found out."""
    recognizer = Recognizer(bundle)
    assert recognizer.shares_cache, "the tiny model's graph allows it; else half of this shows nothing"
    monkeypatch.setattr(recognizer, "shares_cache", shares_cache)
    random = np.random.default_rng(3)
    kept, used = ([recognizer.start() for _ in range(5)] for _ in range(2))
    for _ in range(30):
        streams = random.permutation(5)[: random.integers(1, 6)]
        windows = random.normal(-8, 3, (len(streams), 35, 80)).astype(np.float32)
        singles = [
            recognizer.step([kept[stream]], window[None]) for stream, window in zip(streams, windows, strict=True)
        ]
        found, following = recognizer.step([used[stream] for stream in streams], windows, used_up=True)
        for row, stream in enumerate(streams):
            expected, (kept[stream],) = singles[row]
            used[stream] = following[row]
            np.testing.assert_allclose(found[row], expected[0], atol=TOLERANCE)
    assert not any(cache.any() for cache in recognizer.start().caches)


def test_threads_step_at_once_and_disturb_nobody(bundle: Bundle) -> None:
    recognizer = Recognizer(bundle)
    windows = np.random.default_rng(5).normal(-8, 3, (40, 1, 35, 80)).astype(np.float32)

    def hear(order: int) -> list[LogProbs]:
        state, heard = recognizer.start(), []
        for window in windows[::order]:
            log_probs, (state,) = recognizer.step([state], window, used_up=True)
            heard.append(log_probs)
        return heard

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(hear, [1, -1] * 4))
    for order, heard in zip([1, -1] * 4, together, strict=True):
        np.testing.assert_array_equal(heard, hear(order))


def test_the_default_bundle_is_written_over_in_place(real_bundle: Bundle) -> None:
    """What saves it a copy of its cache at each step (docs/performance.md)."""
    assert Recognizer(real_bundle).shares_cache
