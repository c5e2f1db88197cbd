"""Distances: zero between equals, known values of known shifts, and no dependence on the sample's size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from voxloop_cloud.drift.distance import ks, psi, psi_of_counts, wasserstein

SAMPLES = st.lists(st.floats(-100, 100), min_size=2, max_size=60).map(np.array)


@given(SAMPLES, SAMPLES)
def test_they_are_what_scipy_makes_of_the_same(before: np.ndarray, after: np.ndarray) -> None:
    assert ks(before, after) == pytest.approx(stats.ks_2samp(before, after, method="asymp").statistic)
    assert wasserstein(before, after, 2.0) == pytest.approx(stats.wasserstein_distance(before, after) / 2.0, abs=1e-9)


@given(SAMPLES)
def test_a_sample_is_no_distance_from_itself(sample: np.ndarray) -> None:
    assert ks(sample, sample) == 0
    assert psi(sample, sample) == 0
    assert wasserstein(sample, sample, 1.0) == 0


def test_a_shift_of_half_a_deviation_is_half_a_deviation_however_many_were_counted() -> None:
    rng = np.random.default_rng(5)
    for count in (2_000, 200_000):
        before, after = rng.normal(0, 3, count), rng.normal(1.5, 3, count)
        assert wasserstein(before, after, 3.0) == pytest.approx(0.5, abs=0.08)
        assert ks(before, after) == pytest.approx(2 * stats.norm.cdf(0.25) - 1, abs=0.04)
        assert psi(before, after) == pytest.approx(0.25, abs=0.06)


def test_psi_of_histograms_is_the_textbooks_sum() -> None:
    before, after = np.array([50.0, 50.0]), np.array([20.0, 80.0])
    assert psi_of_counts(before, after) == pytest.approx(-0.3 * np.log(0.4) + 0.3 * np.log(1.6))


def test_a_bin_that_was_empty_is_no_infinite_distance() -> None:
    assert np.isfinite(psi(np.zeros(10), np.ones(10)))
