"""Watching a stage from outside changes nothing that it gives."""

import itertools
from collections.abc import Iterator

from voxloop_proto.stage import run
from voxloop_proto.telemetry import Observed, StageClock, StageTiming, observed


class Doubler:
    """A stage that gives each item twice, and a last one at the end."""

    def push(self, item: int, /) -> tuple[int, ...]:
        return (item, item)

    def flush(self) -> tuple[int, ...]:
        return (0,)


def ticking(step_s: float) -> Iterator[float]:
    return itertools.count(0.0, step_s)


def test_an_observed_stage_gives_what_the_stage_gives() -> None:
    assert list(run(observed(Doubler(), "doubler", StageClock()), [1, 2])) == list(run(Doubler(), [1, 2]))


def test_the_time_of_every_push_and_of_the_flush_is_added_up() -> None:
    clock = StageClock()
    time_s = ticking(0.5)
    stage = Observed(Doubler(), "doubler", clock, clock=lambda: next(time_s))
    assert list(run(stage, [1, 2])) == [1, 1, 2, 2, 0]
    assert clock.take() == (StageTiming("doubler", 1500.0),)


def test_taking_the_times_starts_them_anew() -> None:
    clock = StageClock()
    clock.observe("vad", 0.25)
    assert clock.take() == (StageTiming("vad", 250.0),)
    clock.observe("vad", 0.5)
    assert clock.take() == (StageTiming("vad", 500.0),)


def test_stages_keep_the_order_in_which_they_were_first_seen() -> None:
    clock = StageClock()
    for stage in ("framer", "vad", "encoder", "framer", "vad"):
        clock.observe(stage, 0.001)
    assert [timing.stage for timing in clock.take()] == ["framer", "vad", "encoder"]
    clock.observe("vad", 0.001)
    assert [timing.stage for timing in clock.take()] == ["framer", "vad", "encoder"]
