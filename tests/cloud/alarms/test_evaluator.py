"""The evaluator: what fires when, and what never happens."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.cloud.alarms.made_rules import GAUGE, INTERVAL_S, evaluated, gauge, make_rule

from voxloop_cloud.alarms.evaluator import AlarmState
from voxloop_cloud.alarms.events import Cause, DataMissing, DataSeen, Fired, Resolved
from voxloop_cloud.alarms.phase import Firing
from voxloop_cloud.alarms.series import Sample
from voxloop_cloud.alarms.state_document import from_document, to_document

FIGURES = st.lists(st.one_of(st.none(), st.sampled_from([0.0, 4.0, 6.0, 9.0, 11.0, 20.0])), min_size=1, max_size=40)
DURATIONS = st.sampled_from([0, 10, 15, 20, 30, 45, 60])
MISSING = st.sampled_from(["hold", "fire", "resolve"])


@given(FIGURES, DURATIONS, DURATIONS, MISSING, st.randoms(use_true_random=False))
def test_the_order_of_rules_makes_no_difference(figures, for_s, keep_s, missing, chance) -> None:  # type: ignore[no-untyped-def]  # from strategies
    rules = [
        make_rule(name="a", for_s=for_s, keep_s=keep_s, missing=missing),
        make_rule(name="b", threshold=8.0, for_s=keep_s),
        make_rule(name="c", comparison="below", threshold=5.0, resolves_at=7.0),
        make_rule(name="d", split_by="bundle"),
    ]
    scrapes = [gauge(figure, bundle="x@1") for figure in figures]
    expected = evaluated(rules, scrapes)
    chance.shuffle(rules)
    assert evaluated(rules, scrapes) == expected


@given(st.lists(st.floats(5.0, 10.0, exclude_min=True), min_size=1, max_size=40), st.booleans())
def test_nothing_flaps_between_the_two_thresholds(figures: list[float], was_firing: bool) -> None:
    first = [20.0] if was_firing else [0.0]
    _, events, firing = evaluated([make_rule()], [gauge(figure) for figure in first + figures])
    assert [type(event) for event in events if isinstance(event, Fired | Resolved)] == [Fired] * was_firing
    assert all(bool(each) == was_firing for each in firing)


@given(st.lists(st.booleans(), min_size=1, max_size=40), DURATIONS)
def test_an_alarm_waits_for_its_duration_to_the_sample(is_beyond: list[bool], for_s: int) -> None:
    rule = make_rule(for_s=for_s, resolves_at=10.0)
    _, _, firing = evaluated([rule], [gauge(20.0 if beyond else 0.0) for beyond in is_beyond])
    for now in range(len(is_beyond)):
        back = [number for number in range(now + 1) if not is_beyond[number]]
        beyond_s = (now - back[-1] - 1 if back else now) * INTERVAL_S if is_beyond[now] else -1
        assert bool(firing[now]) == (beyond_s >= for_s)


@given(st.lists(st.booleans(), min_size=1, max_size=40), DURATIONS)
def test_an_alarm_stays_until_it_was_back_for_long_enough(is_beyond: list[bool], keep_s: int) -> None:
    _, _, firing = evaluated([make_rule(keep_s=keep_s)], [gauge(20.0 if beyond else 0.0) for beyond in is_beyond])
    for now in range(len(is_beyond)):
        beyond = [number for number in range(now + 1) if is_beyond[number]]
        calm_s = (now - beyond[-1] - 1) * INTERVAL_S if beyond else None
        expected = bool(beyond) and (is_beyond[now] or (calm_s is not None and calm_s < keep_s))
        assert bool(firing[now]) == expected


@given(FIGURES, DURATIONS, DURATIONS, st.sampled_from(["hold", "resolve"]))
def test_missing_data_fire_nothing_that_did_not_ask_for_it(figures, for_s, keep_s, missing) -> None:  # type: ignore[no-untyped-def]  # from strategies
    rule = make_rule(for_s=for_s, keep_s=keep_s, missing=missing)
    _, events, _ = evaluated([rule], [gauge(figure) for figure in figures])
    assert all(event.value is not None for event in events if isinstance(event, Fired))


@given(FIGURES, DURATIONS, DURATIONS, MISSING)
def test_each_gap_in_the_data_is_told_and_so_is_its_end(figures, for_s, keep_s, missing) -> None:  # type: ignore[no-untyped-def]  # from strategies
    rule = make_rule(for_s=for_s, keep_s=keep_s, missing=missing)
    _, events, _ = evaluated([rule], [gauge(figure) for figure in figures])
    changes = [
        (DataMissing if after is None else DataSeen, number * INTERVAL_S)
        for number, (before, after) in enumerate(pairwise([None, *figures]))
        if (before is None) != (after is None)
    ]
    assert [(type(event), event.at_s) for event in events if isinstance(event, DataMissing | DataSeen)] == changes


@given(FIGURES, DURATIONS, DURATIONS, MISSING)
def test_an_alarm_that_ends_for_want_of_data_says_so(figures, for_s, keep_s, missing) -> None:  # type: ignore[no-untyped-def]  # from strategies
    rule = make_rule(for_s=for_s, keep_s=keep_s, missing=missing, hold_s=30)
    _, events, _ = evaluated([rule], [gauge(figure) for figure in figures])
    for event in events:
        if isinstance(event, Resolved):
            has_data = figures[int(event.at_s) // INTERVAL_S] is not None
            assert event.cause is (Cause.BACK if has_data else Cause.MISSING)
            assert has_data or missing != "fire"


def test_hold_keeps_an_alarm_without_data_for_its_time_and_no_longer() -> None:
    rule = make_rule(missing="hold", hold_s=45)
    _, events, firing = evaluated([rule], [gauge(20.0)] + [gauge(None)] * 5)
    assert [bool(each) for each in firing] == [True, True, True, True, False, False]
    last = events[-1]
    assert isinstance(last, Resolved)
    assert last.cause is Cause.MISSING


def test_missing_data_are_an_alarm_where_the_rule_says_so_from_the_start_on() -> None:
    _, events, firing = evaluated([make_rule(missing="fire", for_s=30)], [gauge(None)] * 4)
    assert [bool(each) for each in firing] == [False, False, True, True]
    assert [event.value for event in events if isinstance(event, Fired)] == [None]


@given(FIGURES, st.integers(0, 40), DURATIONS, DURATIONS, MISSING)
def test_a_restart_from_the_stored_state_goes_on(figures, cut, for_s, keep_s, missing) -> None:  # type: ignore[no-untyped-def]  # from strategies
    rules = [
        make_rule(for_s=for_s, keep_s=keep_s, missing=missing),
        make_rule(name="slow", window_s=60, for_s=for_s),
        make_rule(name="slice", split_by="bundle", keep_s=keep_s),
    ]
    scrapes = [gauge(figure, bundle="x@1") for figure in figures]
    whole_state, whole_events, _ = evaluated(rules, scrapes)
    state, events, _ = evaluated(rules, scrapes[:cut])
    begin_s = min(cut, len(scrapes)) * INTERVAL_S
    stored = from_document(json.loads(json.dumps(to_document(state))), float(begin_s))
    state, more, _ = evaluated(rules, scrapes[cut:], stored, begin_s)
    assert (state, events + more) == (whole_state, whole_events)


def test_a_state_from_a_clock_that_was_ahead_neither_fires_nor_resolves_by_itself() -> None:
    rule = make_rule(for_s=30, keep_s=30)
    state, _, _ = evaluated([rule], [gauge(20.0)] * 4, begin_s=1_000_000.0)
    stored = from_document(to_document(state), 500.0)
    state, events, firing = evaluated([rule], [gauge(20.0), gauge(0.0), gauge(0.0), gauge(0.0)], stored, 500.0)
    assert [bool(each) for each in firing] == [True, True, True, False]
    assert [type(event) for event in events] == [Resolved]


def test_slices_are_alarms_of_their_own() -> None:
    rule = make_rule(split_by="bundle")
    scrapes = [
        [*gauge(20.0, bundle="a@1"), *gauge(1.0, bundle="b@1")],
        [*gauge(1.0, bundle="a@1"), *gauge(20.0, bundle="b@1")],
    ]
    _, _, firing = evaluated([rule], scrapes)
    assert firing == [{("made", (("bundle", "a@1"),))}, {("made", (("bundle", "b@1"),))}]


def test_a_slice_that_is_gone_is_told_and_forgotten() -> None:
    rule = make_rule(split_by="bundle", missing="resolve")
    state, events, _ = evaluated([rule], [gauge(20.0, bundle="a@1"), [], []])
    assert [type(event) for event in events] == [DataSeen, Fired, DataMissing, Resolved]
    assert state.phases == {}
    assert state.history == {}


def test_an_alarm_whose_rule_is_gone_resolves_and_says_so() -> None:
    state, _, _ = evaluated([make_rule()], [gauge(20.0)])
    assert isinstance(state.phases["made", ()], Firing)
    for rules in ([], [make_rule(name="other")]):
        _, events, _ = evaluated(rules, [gauge(20.0)], state, 15.0)
        assert [event.cause for event in events if isinstance(event, Resolved)] == [Cause.CHANGED]


def test_only_what_rules_read_is_remembered_and_no_longer_than_they_look() -> None:
    rule = make_rule(window_s=60)
    other = [Sample("voxloop_queue_other", (), 1.0)]
    state, _, _ = evaluated([rule], [gauge(float(number)) + other for number in range(20)])
    assert set(state.history) == {GAUGE}
    ((points),) = state.history[GAUGE].values()
    assert [at_s for at_s, _ in points] == [225.0, 240.0, 255.0, 270.0, 285.0]


def test_a_new_state_is_empty() -> None:
    assert from_document(to_document(AlarmState()), 1.0) == AlarmState()
