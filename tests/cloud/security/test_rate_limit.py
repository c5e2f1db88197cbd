"""A device's minute: pure, so each second is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.limits import Limits
from voxloop_cloud.security.rate_limit import MIN_MESSAGE_BYTES, Bucket, DeviceRate, DeviceRates
from voxloop_proto.errors import OverloadError

MEBI = 1 << 20


def test_a_minute_s_segments_pass_at_once_and_then_one_for_each_share_of_a_minute() -> None:
    rate = DeviceRate(Limits(max_segments_per_minute=60), now_s=0.0)
    for _ in range(60):
        rate.begin_segment(0.0)
    with pytest.raises(OverloadError, match="60 segments in a minute") as refused:
        rate.begin_segment(0.0)
    assert 0 < refused.value.retry_after_ms <= 1_001
    rate.begin_segment(1.0)
    with pytest.raises(OverloadError):
        rate.begin_segment(1.0)


def test_bytes_beyond_the_minute_stop_the_next_segment_and_not_the_one_that_is_spoken() -> None:
    rate = DeviceRate(Limits(max_bytes_per_minute=MEBI), now_s=0.0)
    rate.begin_segment(0.0)
    rate.take_message(3 * MEBI // 2, 0.0)
    with pytest.raises(OverloadError, match=f"{MEBI} bytes in a minute") as refused:
        rate.begin_segment(0.0)
    assert refused.value.retry_after_ms == pytest.approx(30_000, abs=2)
    rate.begin_segment(refused.value.retry_after_ms / 1000.0)


def test_what_no_open_segment_can_explain_ends_the_session() -> None:
    limits = Limits(max_bytes_per_minute=MEBI, max_segment_ms=1_000, max_sessions_per_device=2)
    rate = DeviceRate(limits, now_s=0.0)
    rate.take_message(MEBI + 2 * 32_000, 0.0)
    with pytest.raises(OverloadError, match="send the segment again later"):
        rate.take_message(1, 0.0)


def test_a_short_message_is_not_free() -> None:
    rate = DeviceRate(Limits(max_bytes_per_minute=MEBI), now_s=0.0)
    for _ in range(MEBI // MIN_MESSAGE_BYTES):
        rate.take_message(1, 0.0)
    with pytest.raises(OverloadError):
        rate.begin_segment(0.0)


@given(steps=st.lists(st.tuples(st.floats(0, 30), st.integers(0, 500)), max_size=60), per_minute=st.integers(1, 1_000))
def test_no_window_of_time_lets_more_begin_than_a_minute_s_worth_and_what_came_in_since(
    steps: list[tuple[float, int]], per_minute: int
) -> None:
    """Whatever the pace, what was begun up to any time is at most the first fill and the flow until then, and one."""
    bucket, now_s, begun, largest = Bucket(per_minute, per_minute, 0.0), 0.0, 0, 0
    for wait_s, amount in steps:
        now_s += wait_s
        bucket.fill(now_s)
        if not bucket.wait_ms():
            bucket.spend(amount)
            begun, largest = begun + amount, max(largest, amount)
        assert begun <= per_minute * (1 + now_s / 60.0) + largest + 1e-6


@given(debt=st.integers(0, 5_000), per_minute=st.integers(1, 1_000))
def test_whoever_waits_as_long_as_told_may_go_on(debt: int, per_minute: int) -> None:
    bucket = Bucket(per_minute, -debt, 0.0)
    bucket.fill(bucket.wait_ms() / 1000.0)
    assert bucket.wait_ms() == 0


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = Bucket(60, 0.0, at_s=100.0)
    bucket.fill(50.0)
    assert bucket.level == 0.0


def test_devices_do_not_share_and_the_number_of_those_remembered_is_bounded() -> None:
    rates = DeviceRates(Limits(max_segments_per_minute=1), max_devices=3, clock=lambda: 0.0)
    for name in "abc":
        rates.of(name).begin_segment(0.0)
    with pytest.raises(OverloadError):
        rates.of("a").begin_segment(0.0)
    for name in "defg":
        rates.of(name)
    assert len(rates) == 3
