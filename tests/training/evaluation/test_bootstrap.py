import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_training.evaluation.bootstrap import MIN_SPEAKERS, Bootstrap, Counts, choose_units

COUNTS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), min_size=2, max_size=30)
BOOTSTRAP = Bootstrap(resamples=300)


def counts(values: list[int]) -> Counts:
    return np.array(values, np.int64)


@given(COUNTS)
def test_an_interval_lies_within_the_rates_of_the_units(pairs: list[tuple[int, int]]) -> None:
    errors, words = (counts(list(values)) for values in zip(*pairs, strict=True))
    found = BOOTSTRAP.interval(errors, words, range(len(pairs)))
    assert found is not None
    rates = errors / words
    assert rates.min() - 1e-12 <= found.low <= found.high <= rates.max() + 1e-12


@given(COUNTS)
def test_units_of_one_rate_leave_no_doubt(pairs: list[tuple[int, int]]) -> None:
    words = counts([words for _, words in pairs])
    found = BOOTSTRAP.interval(2 * words, words, range(len(pairs)))
    assert found is not None
    assert (found.low, found.high) == (2.0, 2.0)


def test_the_interval_is_as_wide_as_theory_says_and_covers_the_truth() -> None:
    rng = np.random.default_rng(5)
    clips, words, rate = 400, 10, 0.3
    covered, widths = 0, []
    for _ in range(100):
        found = BOOTSTRAP.interval(rng.binomial(words, rate, clips), np.full(clips, words), range(clips))
        assert found is not None
        covered += found.low <= rate <= found.high
        widths.append(found.high - found.low)
    deviation = np.sqrt(rate * (1 - rate) / (clips * words))
    assert np.mean(widths) == pytest.approx(2 * 1.96 * deviation, rel=0.05)
    assert covered >= 88


def test_errors_that_a_speaker_makes_together_widen_the_interval() -> None:
    errors, words = counts([5] * 50 + [0] * 50), counts([10] * 100)
    speakers = [f"speaker {clip // 10}" for clip in range(100)]
    by_clip, by_speaker = (BOOTSTRAP.interval(errors, words, units) for units in (range(100), speakers))
    assert by_clip is not None
    assert by_speaker is not None
    assert by_speaker.high - by_speaker.low > 2 * (by_clip.high - by_clip.low)


@pytest.mark.parametrize("words", [[3], [3, 0], [0, 0]])
def test_of_one_unit_nothing_can_be_said(words: list[int]) -> None:
    assert BOOTSTRAP.interval(counts([1] * len(words)), counts(words), range(len(words))) is None


def test_the_seed_decides() -> None:
    errors, words = counts([0, 3, 1, 7, 2]), counts([9, 8, 7, 9, 6])
    first, again, other = (Bootstrap(resamples=100, seed=seed).interval(errors, words, range(5)) for seed in (1, 1, 2))
    assert first == again != other


@given(COUNTS)
def test_a_system_does_not_differ_from_itself(pairs: list[tuple[int, int]]) -> None:
    errors, words = (counts(list(values)) for values in zip(*pairs, strict=True))
    found = BOOTSTRAP.difference(errors, errors, words, range(len(pairs)))
    assert found is not None
    assert (found.rate, found.interval.low, found.interval.high, found.better_share) == (0.0, 0.0, 0.0, 0.5)


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    rng = np.random.default_rng(3)
    words = np.full(60, 20)
    baseline = rng.integers(0, 20, 60)  # clips differ a lot, the systems by one word each
    better = np.maximum(baseline - 1, 0)
    found = BOOTSTRAP.difference(better, baseline, words, range(60))
    alone = BOOTSTRAP.interval(better, words, range(60))
    assert found is not None
    assert alone is not None
    assert found.rate == pytest.approx((better.sum() - baseline.sum()) / words.sum())
    assert found.interval.high < 0
    assert found.better_share == 1.0
    assert found.interval.high - found.interval.low < 0.2 * (alone.high - alone.low)


def test_speakers_are_drawn_where_they_are_known_and_enough() -> None:
    many: list[str | None] = [f"speaker {number}" for number in range(MIN_SPEAKERS)]
    assert choose_units(many) == ("speakers", many)
    assert choose_units(many[1:])[0] == "clips"
    assert choose_units([*many, None])[0] == "clips"
