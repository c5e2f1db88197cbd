"""Samples and bytes: the round trip, the clipping, the levels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from voxloop_proto.audio import (
    PCM16_FULL_SCALE,
    SILENCE_DBFS,
    PaddingPolicy,
    from_pcm16,
    level_dbfs,
    ms_to_samples,
    samples_to_ms,
    to_pcm16,
)


@given(st.lists(st.integers(-32_768, 32_767), max_size=50))
def test_bytes_survive_the_way_to_samples_and_back(values: list[int]) -> None:
    payload = np.array(values, dtype="<i2").tobytes()
    assert to_pcm16(from_pcm16(payload)) == payload


@given(st.lists(st.floats(-1.0, 1.0, width=32), max_size=50))
def test_samples_survive_the_way_to_bytes_within_one_step(values: list[float]) -> None:
    pcm = np.array(values, np.float32)
    back = from_pcm16(to_pcm16(pcm))
    assert back.dtype == np.float32
    assert np.all(np.abs(back - pcm) <= 1.0 / PCM16_FULL_SCALE)


def test_what_is_too_loud_is_clipped_and_does_not_wrap_around() -> None:
    assert from_pcm16(to_pcm16(np.array([2.0, -2.0, 1.0], np.float32))).tolist() == pytest.approx([1, -1, 1], abs=1e-4)


def test_bytes_are_little_endian() -> None:
    assert to_pcm16(np.array([1 / PCM16_FULL_SCALE], np.float32)) == b"\x01\x00"


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of element size"):
        from_pcm16(b"\x00\x00\x01")


@pytest.mark.parametrize(("amplitude", "expected_dbfs"), [(1.0, 0.0), (0.1, -20.0), (0.001, -60.0)])
def test_the_level_of_a_constant_is_its_amplitude(amplitude: float, expected_dbfs: float) -> None:
    assert level_dbfs(np.full(160, amplitude, np.float32)) == pytest.approx(expected_dbfs, abs=1e-3)


@pytest.mark.parametrize("samples", [0, 160])
def test_silence_and_nothing_have_the_lowest_level(samples: int) -> None:
    assert level_dbfs(np.zeros(samples, np.float32)) == SILENCE_DBFS


@given(st.integers(0, 10_000_000))
def test_samples_survive_the_way_to_milliseconds_and_back(samples: int) -> None:
    assert ms_to_samples(samples_to_ms(samples)) == samples


def test_a_padding_without_trailing_silence_is_refused() -> None:
    with pytest.raises(ValidationError, match="after_ms"):
        PaddingPolicy(after_ms=0)
