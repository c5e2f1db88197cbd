"""The arithmetic of rates and quantiles, on cases that can be done by hand."""

import math

import pytest

from voxloop_cloud.alarms.rate import bucket_quantile, rate_per_s


def test_a_steady_counter_has_its_slope() -> None:
    points = tuple((float(at_s), 2.0 * at_s) for at_s in range(0, 61, 15))
    assert rate_per_s(points, 60.0, 60.0) == pytest.approx(2.0)


def test_one_point_is_no_rate() -> None:
    assert rate_per_s(((0.0, 5.0),), 0.0, 60.0) is None
    assert rate_per_s((), 0.0, 60.0) is None


def test_a_restart_from_zero_is_no_fall() -> None:
    points = ((0.0, 100.0), (15.0, 130.0), (30.0, 10.0), (45.0, 40.0), (60.0, 70.0))
    assert rate_per_s(points, 60.0, 60.0) == pytest.approx((30 + 10 + 30 + 30) / 60)


def test_a_counter_is_not_extended_to_before_it_was_zero() -> None:
    points = ((30.0, 0.0), (45.0, 30.0), (60.0, 60.0))
    assert rate_per_s(points, 60.0, 60.0) == pytest.approx(60 / 60)


def test_a_counter_that_ended_is_extended_by_half_its_interval() -> None:
    points = ((0.0, 100.0), (10.0, 200.0))
    assert rate_per_s(points, 60.0, 60.0) == pytest.approx(100 * 15 / 10 / 60)


@pytest.mark.parametrize(("quantile", "expected"), [(0.25, 0.625), (0.5, 1.25), (0.75, 1.875), (0.9, 2.0), (0.99, 2.0)])
def test_a_quantile_is_linear_within_its_bucket(quantile: float, expected: float) -> None:
    assert bucket_quantile(quantile, [(math.inf, 10.0), (1.0, 4.0), (2.0, 8.0)]) == pytest.approx(expected)


def test_a_histogram_of_nothing_has_no_quantile() -> None:
    assert bucket_quantile(0.5, [(1.0, 0.0), (math.inf, 0.0)]) is None
    assert bucket_quantile(0.5, [(1.0, 3.0)]) is None
    assert bucket_quantile(0.5, []) is None
