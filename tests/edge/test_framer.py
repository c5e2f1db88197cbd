"""Frames: all of the sound, once, at the right time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_edge.framer import GAP_FILL_MS, Framer
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import DataError
from voxloop_proto.events import Chunk, Frame
from voxloop_proto.stage import run
from voxloop_proto.testing import assert_cut_independent, cut

lengths = st.lists(st.integers(0, 2000), min_size=1, max_size=20).filter(any)


def ramp(samples: int) -> Pcm:
    return (np.arange(samples) / 65_536).astype(np.float32)


def essence(frames: list[Frame]) -> list[tuple[int, int, bytes]]:
    return [(frame.start_sample, frame.real_samples, frame.pcm.tobytes()) for frame in frames]


@given(samples=st.integers(0, 9000), pieces=lengths, frame_ms=st.sampled_from([10, 20, 30, 32]))
def test_frames_do_not_depend_on_the_chunks(samples: int, pieces: list[int], frame_ms: int) -> None:
    assert_cut_independent(lambda: Framer(frame_ms), ramp(samples), pieces, essence)


@given(samples=st.integers(0, 9000), pieces=lengths)
def test_frames_together_are_the_source(samples: int, pieces: list[int]) -> None:
    frames = list(run(Framer(30), cut(ramp(samples), pieces)))
    assert [frame.start_sample for frame in frames] == list(range(0, samples, 480))
    assert all(len(frame.pcm) == 480 for frame in frames)
    real = [frame.pcm[: frame.real_samples] for frame in frames]
    assert np.array_equal(np.concatenate([np.zeros(0, np.float32), *real]), ramp(samples))
    assert not any(frame.pcm[frame.real_samples :].any() for frame in frames)


def test_a_short_hole_becomes_silence_of_its_length() -> None:
    frames = list(run(Framer(10), [Chunk(0, ramp(400)), Chunk(1000, ramp(360))]))
    sound = np.concatenate([frame.pcm[: frame.real_samples] for frame in frames])
    assert [frame.start_sample for frame in frames] == list(range(0, 1360, 160))
    assert np.array_equal(sound, np.concatenate((ramp(400), np.zeros(600, np.float32), ramp(360))))


def test_a_long_hole_is_jumped_over_in_bounded_memory() -> None:
    hour = 3600 * 16_000
    frames = list(run(Framer(10), [Chunk(0, ramp(400)), Chunk(hour, ramp(320))]))
    assert len(frames) <= GAP_FILL_MS // 10 + 6
    assert [frame.start_sample for frame in frames[-2:]] == [hour, hour + 160]
    assert np.array_equal(np.concatenate([frame.pcm for frame in frames[-2:]]), ramp(320))


def test_a_stream_may_begin_late() -> None:
    assert next(run(Framer(10), [Chunk(777, ramp(160))])).start_sample == 777


def test_a_chunk_that_overlaps_the_last_one_is_refused() -> None:
    framer = Framer(10)
    framer.push(Chunk(0, ramp(100)))
    with pytest.raises(DataError, match="50 before the last one ended"):
        framer.push(Chunk(50, ramp(100)))
