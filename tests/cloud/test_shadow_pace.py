"""Shadows take no more than their share of the recognition thread's time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.shadow_pace import LONG_TURN_S, MOST_REST_S, REST_S, ShadowPace


def turns_take(pace: ShadowPace, turns_s: list[float]) -> float:
    """The part of the time that turns take which come as soon as they may, from the first one's begin to the rest's end
    after the last."""
    now_s = 0.0
    for turn_s in turns_s:
        pace.begin(now_s)
        now_s += turn_s
        pace.end(now_s)
        now_s += pace.rest_s(now_s)
    return sum(turns_s) / now_s


@given(st.lists(st.floats(1e-4, LONG_TURN_S), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_turns_take_no_more_than_their_share(turns_s: list[float], most_ratio: float) -> None:
    assert turns_take(ShadowPace(most_ratio), turns_s) <= most_ratio * (1.0 + 1e-9)


def test_a_long_turn_is_rested_for_ten_times_as_long() -> None:
    assert turns_take(ShadowPace(0.1), [0.9 * LONG_TURN_S] * 9) == pytest.approx(0.1)
    assert turns_take(ShadowPace(0.1), [2 * LONG_TURN_S] * 9) == pytest.approx(1.0 / 91.0)


def test_no_rest_is_without_end() -> None:
    pace = ShadowPace(0.01)
    pace.begin(0.0)
    pace.end(60.0)
    assert pace.rest_s(60.0) == MOST_REST_S


def test_there_is_always_a_short_rest_and_other_turns_are_not_counted() -> None:
    pace = ShadowPace(1.0)
    assert pace.rest_s(5.0) == REST_S
    pace.begin(5.0)
    pace.end(6.0)
    assert pace.rest_s(6.0) == REST_S
    paced = ShadowPace(0.1)
    paced.end(6.0)
    assert paced.rest_s(6.0) == REST_S
