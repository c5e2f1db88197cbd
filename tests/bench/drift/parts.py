"""What the benchmark of drift detection measures, part by part."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tests.bench.drift.figures import delays, rate
from tests.bench.drift.injection import INJECTIONS, LANGUAGES, SMALL, UNTOLD, Injection
from tests.bench.drift.recorded import Say
from tests.bench.drift.streams import BUSY, HABITS, USUAL, Habit
from tests.bench.drift.trials import Change, Lab

RAMP: Final = 1_000
RAMPED: Final = ("gain", "noise", "rate")
BUSIER: Final = ("gain", "rate", "language")
LABELLED: Final = ("low-pass", "noise", "language")
ONE_KIND: Final = "raspberry-pi-4"
OTHER_HABITS_SHARE: Final = 4
"""Weeks in the first habit for each one in another; for each that is watched in the plain way, four times as many."""

Part = Callable[[], dict[str, Any]]


def null_weeks(lab: Lab, habit: Habit, weeks: int, seed: int, say: Say) -> dict[str, Any]:
    """Weeks in which nothing changes."""
    first = []
    for week in range(weeks):
        first += [
            f"{each.metric}, {each.slice}, {each.kind}, {each.against}"
            for each in lab.null_week(habit, seed + week)[:1]
        ]
        if (week + 1) % 50 == 0:
            say(f"  {week + 1} of {weeks} weeks, {habit.name}: {len(first)} with an alarm")
    return rate(len(first), weeks) | {"first_alarms": first}


def plain_weeks(lab: Lab, weeks: int, seed: int) -> dict[str, Any]:
    """The same weeks, watched in the plain way."""
    return rate(sum(lab.plain_null_week(USUAL, seed + week) for week in range(weeks)), weeks)


def changed(lab: Lab, each: Injection, change: Change, habit: Habit, seeds: range) -> dict[str, Any]:
    """Weeks with a change in their middle."""
    return {"what": each.what, **delays([lab.change(change, habit, seed) for seed in seeds], each.stage)}


def labels(lab: Lab, condition: str, seeds: range) -> dict[str, Any]:
    """The same, for the word error rate of one utterance in ten; counted in labels."""
    return delays([lab.change_of_labels(condition, USUAL, seed) for seed in seeds], "decoder")


def parts_of(lab: Lab, voices: Lab, weeks: int, trials: int, seed: int, say: Say) -> dict[tuple[str, str], Part]:
    """All that is measured, by its place in the results."""
    parts: dict[tuple[str, str], Part] = {}
    seeds, of = range(seed + 10_000, seed + 10_000 + trials), {each.name: each for each in (*INJECTIONS, SMALL, UNTOLD)}
    for each in (*INJECTIONS, UNTOLD):
        parts["changes", each.name] = partial(changed, lab, each, Change(each.name), USUAL, seeds)
    for each in LANGUAGES:
        parts["changes", each.name] = partial(changed, voices, each, Change(each.name), USUAL, seeds)
    parts["too small", SMALL.name] = partial(changed, lab, SMALL, Change(SMALL.name), USUAL, seeds)
    for name in RAMPED:
        parts["ramps", name] = partial(changed, lab, of[name], Change(name, ramp=RAMP), USUAL, seeds)
    for name in BUSIER:
        parts["busier", name] = partial(changed, lab, of[name], Change(name), BUSY, seeds)
    for name in ("gain", "noise"):
        parts[f"of {ONE_KIND} alone", name] = partial(changed, lab, of[name], Change(name, ONE_KIND), USUAL, seeds)
    for name in LABELLED:
        parts["labels", name] = partial(labels, lab, name, seeds)
    for habit in HABITS:
        count = weeks if habit is USUAL else weeks // OTHER_HABITS_SHARE
        parts["null", habit.name] = partial(null_weeks, lab, habit, count, seed, say)
    return parts | {("plain", USUAL.name): partial(plain_weeks, lab, weeks // OTHER_HABITS_SHARE**2, seed)}
