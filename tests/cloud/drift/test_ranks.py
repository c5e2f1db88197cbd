"""Ranks: uniform whatever the distribution, and blind to devices that differ from each other."""

from dataclasses import replace

import numpy as np
import pytest
from tests.cloud.drift.made_stream import MadeStream

from voxloop_cloud.drift.baseline import LEAST_SHARE, MOST_SLICES, Baseline
from voxloop_cloud.drift.metric import METRICS
from voxloop_cloud.drift.plan import MonitorPlan
from voxloop_cloud.drift.ranks import LEAST_TURNS, MOST_TURNS, KnownTurns, Ranks
from voxloop_cloud.drift.turns import Slice, TurnTaker
from voxloop_cloud.drift.utterances import Utterances

PLAN = MonitorPlan(
    look_utterances=50, turn_s=1_800.0, parts_of_day=4, planned_looks=64, alpha=0.006, tolerance=0.05, least_effect=0.2
)
CONFIDENCE = [metric.name for metric in METRICS].index("confidence")


def scores_of(baseline: Baseline, utterances: Utterances) -> np.ndarray:
    ranks, taker = Ranks(baseline, np.random.default_rng(0)), TurnTaker(PLAN.turn_s)
    utterances = baseline.marked(utterances)
    parts = [utterances.take(slice(at, at + 50)) for at in range(0, len(utterances), 50)]
    return np.concatenate([ranks.scores_of(taker.take(part, baseline.residuals_of(part))) for part in parts])


def test_ranks_are_uniform_where_nothing_changed() -> None:
    stream = MadeStream(seed=1)
    scores = scores_of(Baseline(stream.utterances(4_000), PLAN), stream.utterances(4_000))[:, CONFIDENCE]
    assert scores.mean() == pytest.approx(0.5, abs=0.03)
    assert np.histogram(scores, 4, (0, 1))[0] / len(scores) == pytest.approx(0.25, abs=0.04)


def test_equal_values_are_ranked_by_chance() -> None:
    stream = MadeStream(seed=2)
    week, more = stream.utterances(2_000), stream.utterances(2_000)
    for part in (week, more):
        part.values["confidence"][:] = 1.0
    scores = scores_of(Baseline(week, PLAN), more)[:, CONFIDENCE]
    assert scores.mean() == pytest.approx(0.5, abs=0.03)


def test_another_mixture_of_the_same_devices_is_no_change() -> None:
    stream = MadeStream(devices=20, between=10.0, seed=3)
    baseline = Baseline(stream.utterances(4_000), PLAN)
    more = stream.utterances(8_000)
    loudest = np.unique(more.devices)[np.argsort(baseline._habits.means[:-1, CONFIDENCE])[-5:]]
    scores = scores_of(baseline, more.take(np.isin(more.devices, loudest)))[:, CONFIDENCE]
    assert scores.mean() == pytest.approx(0.5, abs=0.06)


def look_of(devices: list[str], times_s: list[float]) -> Utterances:
    return Utterances(np.array(devices), np.array(times_s), {})


def test_what_a_device_says_within_a_turns_time_counts_once() -> None:
    taker = TurnTaker(100.0)
    first = taker.take(look_of(["a", "b", "a"], [0.0, 50.0, 99.0]), np.array([[1.0], [5.0], [3.0]]))
    np.testing.assert_array_equal(first.means, [[2.0], [5.0]])
    more = taker.take(look_of(["a", "b", "a"], [100.0, 120.0, 101.0]), np.array([[9.0], [9.0], [7.0]]))
    np.testing.assert_array_equal(more.means, [[7.0]])


def test_utterances_that_come_in_any_order_make_turns_all_the_same() -> None:
    taker = TurnTaker(100.0)
    newest_first = look_of(["a"] * 4, [900.0, 890.0, 500.0, 100.0])
    np.testing.assert_array_equal(
        taker.take(newest_first, np.array([[1.0], [3.0], [5.0], [7.0]])).means, [[2], [5], [7]]
    )


def test_a_turn_is_of_the_part_of_the_day_in_which_it_began() -> None:
    baseline = Baseline(MadeStream(seed=11).utterances(4_000), replace(PLAN, parts_of_day=8))
    look = look_of(["a", "b", "c"], [3_600.0, 86_400.0 - 1.0, 86_400.0 * 3 + 12 * 3_600.0])
    turns = TurnTaker(100.0).take(look, np.zeros((3, 1)))
    np.testing.assert_array_equal(baseline.parts_of(turns), [0, 7, 4])


def test_of_few_turns_the_day_is_not_cut_into_parts() -> None:
    assert Baseline(MadeStream(seed=12).utterances(200), PLAN).parts_of_day == 1


def test_habits_and_turns_are_both_of_the_whole_period() -> None:
    stream = MadeStream(seed=10)
    week = stream.utterances(5_000)
    kept = Baseline(week, PLAN).utterances.times_s / week.times_s[-1]
    assert np.histogram(kept, 5, (0, 1))[0] / len(kept) == pytest.approx(0.2, abs=0.03)
    assert len(kept) == pytest.approx(2_500, rel=0.05)


def test_devices_that_are_silent_are_forgotten() -> None:
    taker = TurnTaker(100.0)
    for at in range(50):
        taker.take(look_of([f"device-{at}"], [at * 1_000.0]), np.zeros((1, 1)))
    assert len(taker._began_s) == 1


def test_the_means_of_a_turn_leave_out_what_was_not_measured() -> None:
    look = look_of(["a", "b", "a"], [0.0, 0.0, 0.0])
    turns = TurnTaker(100.0).take(look, np.array([[1.0, np.nan], [5.0, np.nan], [3.0, 7.0]]))
    np.testing.assert_array_equal(turns.means, [[2.0, 7.0], [5.0, np.nan]])


def test_slices_are_frequent_values_and_their_number_is_bounded() -> None:
    count = 2_000
    rng = np.random.default_rng(5)
    columns = {f"column-{at}": rng.choice(["a", "b", "rare"], count, p=[0.6, 0.35, 0.05]) for at in range(20)}
    slices = {"constant": np.full(count, "same"), **columns}
    made = MadeStream(seed=5).utterances(count)
    chosen = Baseline(Utterances(made.devices, made.times_s, made.values, {}, slices), PLAN, METRICS, ()).slices
    assert len(chosen) == 1 + MOST_SLICES
    assert str(chosen[0]) == "all"
    assert not {each.value for each in chosen} & {"rare", "same"}
    assert {each.column for each in chosen if each.is_new} == {f"new {name}" for name in list(slices)[:4]}
    assert LEAST_SHARE > 0.05


def test_a_slice_with_too_few_turns_is_not_tested() -> None:
    stream, plan = MadeStream(devices=2, seed=6), replace(PLAN, turn_s=86_400.0)
    baseline = Baseline(stream.utterances(100), plan)
    ranks = Ranks(baseline, np.random.default_rng(0))
    assert sum(map(len, ranks._known[0])) < LEAST_TURNS / 2
    look = baseline.marked(stream.utterances(50))
    assert np.isnan(ranks.scores_of(TurnTaker(plan.turn_s).take(look, baseline.residuals_of(look)))).all()


def test_a_device_that_was_heard_little_is_taken_to_be_like_the_others() -> None:
    stream = MadeStream(devices=40, between=3.0, sitting=0.0, seed=7)
    week = stream.utterances(4_000)
    name = "device-000"
    few = np.flatnonzero(week.devices == name)[1:]
    heard_little = week.take(np.setdiff1d(np.arange(len(week)), few))
    often, seldom = (Baseline(each, PLAN)._habits for each in (week, heard_little))
    of_all = seldom.means[-1, CONFIDENCE]
    for habits in (often, seldom):
        assert name in habits.devices
    assert seldom.of(np.array(["nobody"]))[0] == len(seldom.devices)
    own = week.values["confidence"][week.devices == name][0]
    drawn = seldom.means[seldom.of(np.array([name]))[0], CONFIDENCE]
    assert min(own, of_all) <= drawn <= max(own, of_all)


def test_the_text_of_a_slice_is_its_column_and_value() -> None:
    assert str(Slice("locale", "en-GB")) == "locale=en-GB"


def test_ranks_are_what_counting_makes_of_them() -> None:
    rng = np.random.default_rng(8)
    before = rng.integers(0, 6, (LEAST_TURNS + 5, 2)).astype(float)
    before[rng.random(before.shape) < 0.1] = np.nan
    known, told = KnownTurns(before), [list(column[~np.isnan(column)]) for column in before.T]
    for _ in range(40):
        values, ties = rng.integers(0, 6, (9, 2)).astype(float), rng.random((9, 2))
        values[rng.random(values.shape) < 0.2] = np.nan
        scores = known.rank(values, ties)
        for row in range(9):
            for column in range(2):
                value = values[row, column]
                if np.isnan(value) or len(told[column]) < LEAST_TURNS:
                    assert np.isnan(scores[row, column])
                else:
                    less = sum(each < value for each in told[column])
                    equal = sum(each == value for each in told[column])
                    wanted = (less + ties[row, column] * (equal + 1)) / (len(told[column]) + 1)
                    assert scores[row, column] == pytest.approx(wanted)
                if not np.isnan(value):
                    told[column].append(value)


def test_what_is_remembered_has_a_bound() -> None:
    rng = np.random.default_rng(9)
    known = KnownTurns(rng.random((MOST_TURNS - 100, 1)))
    for _ in range(30):
        known.rank(rng.random((20, 1)), rng.random((20, 1)))
    assert len(known._sorted[0]) + len(known._latest) < MOST_TURNS + 20
