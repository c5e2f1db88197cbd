"""The confidence sequence: right at every look, and as narrow as one needs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.rollout.bounded_mean import BoundedMean, Range
from voxloop_cloud.rollout.capital import Capital

UNIT = Range(0.0, 1.0)
DIFFERENCE = Range(-1.0, 1.0)
ROLLOUTS, UTTERANCES = 500, 1_000


def mean_of(values: list[float], values_in: Range = DIFFERENCE, mark: float = 0.02) -> BoundedMean:
    mean = BoundedMean(values_in, [0.0, mark], alpha_low=0.01, alpha_high=0.05)
    mean.push(values)
    return mean


def crossings(draws: np.ndarray, null_mean: float, alpha: float) -> float:
    """Share of rows, (R, N) in [0, 1], in which capital against a mean ever reached 1 / alpha."""
    crossed = 0
    for row in draws:
        capital = Capital(np.array([null_mean]))
        capital.bet(row)
        crossed += bool(capital.highest[0] >= -math.log(alpha))
    return crossed / len(draws)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, shape: rng.binomial(1, 0.5, shape).astype(float),
        lambda rng, shape: rng.choice([0.0, 0.5, 1.0], shape, p=[0.05, 0.9, 0.05]),
        lambda rng, shape: rng.beta(2.0, 2.0, shape),
        lambda rng, shape: rng.choice([0.45, 1.0], shape, p=[10 / 11, 1 / 11]),
    ],
    ids=["coins", "rare differences", "smooth", "skewed"],
)
@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_a_look_after_every_utterance_errs_no_more_often_than_allowed(draw, alpha: float) -> None:  # type: ignore[no-untyped-def]
    """The mean is exactly what is bet against: the worst case of 'not above'."""
    values = draw(np.random.default_rng(1), (ROLLOUTS, UTTERANCES))
    allowed = alpha + 3 * math.sqrt(alpha * (1 - alpha) / ROLLOUTS)
    assert crossings(values, 0.5, alpha) <= allowed


def test_a_test_for_one_look_would_err_far_more_often() -> None:
    """Why not a t-test after every utterance: it cries wolf on a third of good bundles."""
    values = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], (200, UTTERANCES), p=[0.05, 0.9, 0.05])
    counts = np.arange(1, UTTERANCES + 1)
    means = values.cumsum(axis=1) / counts
    spreads = np.sqrt(np.maximum((values**2).cumsum(axis=1) / counts - means**2, 1e-12) / counts)
    late = slice(50, None)  # once the normal distribution holds
    assert np.mean((means[:, late] / spreads[:, late] > 2.326).any(axis=1)) > 0.05


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), max_size=200), st.lists(st.integers(0, 40), max_size=8))
def test_how_values_are_cut_into_looks_makes_no_difference(values: list[float], cuts: list[int]) -> None:
    whole, pieces = mean_of(values), mean_of([])
    rest = values
    for cut in cuts:
        pieces.push(rest[:cut])
        rest = rest[cut:]
    pieces.push(rest)
    assert (pieces.count, pieces.low, pieces.high) == (whole.count, whole.low, whole.high)
    assert [pieces.is_above(0.0), pieces.is_below(0.02)] == [whole.is_above(0.0), whole.is_below(0.02)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=200))
def test_bounds_are_within_the_range_and_say_what_is_asked(values: list[float]) -> None:
    mean = mean_of(values)
    assert -1.0 <= mean.low <= 1.0
    assert -1.0 <= mean.high <= 1.0
    assert mean.is_above(0.0) == (mean.low >= -1e-9)
    assert mean.is_below(0.02) == (mean.high <= 0.02 + 1e-9)
    assert mean.estimate == pytest.approx(sum(values) / len(values), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), max_size=150), st.lists(st.floats(-1.0, 1.0), max_size=150))
def test_what_is_proven_stays_proven(first: list[float], second: list[float]) -> None:
    mean = mean_of(first)
    low, high = mean.low, mean.high
    mean.push(second)
    assert mean.low >= low
    assert mean.high <= high


def test_the_interval_holds_the_mean_and_closes_around_it() -> None:
    rng = np.random.default_rng(3)
    misses, widths = 0, []
    for _ in range(50):
        mean = mean_of(rng.choice([-0.25, 0.0, 0.5], 1_000, p=[0.2, 0.6, 0.2]).tolist())
        misses += not mean.low <= 0.05 <= mean.high
        widths.append(mean.high - mean.low)
    assert misses / 50 <= 0.06 + 3 * math.sqrt(0.06 * 0.94 / 50)
    assert np.median(widths) < 0.08


def test_what_is_needed_comes_true() -> None:
    values = np.random.default_rng(4).choice([-0.2, 0.0, 0.2], 5_000, p=[0.1, 0.8, 0.1]).tolist()
    mean = mean_of(values[:300])
    needed = mean.values_to_below(0.02, otherwise=0.0)
    assert needed is not None
    assert not mean.is_below(0.02)
    mean.push(values[300 : 300 + 3 * needed])
    assert mean.is_below(0.02)


def test_of_nothing_it_says_what_no_difference_would_need() -> None:
    mean = mean_of([])
    needed = mean.values_to_below(0.02, otherwise=0.0)
    assert needed is not None
    for count in (needed // 2, needed):
        mean = mean_of([0.0] * count)
        assert mean.is_below(0.02) == (count == needed)


def test_values_that_only_speak_against_it_need_no_number() -> None:
    assert mean_of([0.5, 0.0] * 50).values_to_below(0.02, otherwise=0.0) is None


def test_a_value_beyond_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match="the range is"):
        mean_of([0.0, 1.5])
    with pytest.raises(ValueError, match="the range is"):
        mean_of([math.nan])
