import pytest

from voxloop_training.progress import Progress
from voxloop_training.schedule import ScheduleConfig


def at(minutes: float, step: int = 100, hours_seen: float = 0.0) -> Progress:
    return Progress(step=step, elapsed_s=60 * minutes, hours_seen=hours_seen)


def test_the_rate_rises_holds_and_falls_to_zero() -> None:
    schedule = ScheduleConfig(warmup_steps=10, decay_ratio=0.25, budget_minutes=10)
    assert schedule.rate_ratio(at(0, step=0)) == pytest.approx(0.1)
    assert schedule.rate_ratio(at(1)) == 1.0
    assert schedule.rate_ratio(at(7.5)) == pytest.approx(1.0)
    assert schedule.rate_ratio(at(8.75)) == pytest.approx(0.5)
    assert schedule.rate_ratio(at(10)) == 0.0


def test_the_nearest_limit_counts() -> None:
    schedule = ScheduleConfig(budget_minutes=10, budget_steps=100, budget_hours_seen=5)
    assert schedule.spent_ratio(at(1, step=90)) == 0.9
    assert schedule.spent_ratio(at(9, step=10)) == 0.9
    assert schedule.spent_ratio(at(1, step=10, hours_seen=4)) == 0.8
    assert schedule.spent_ratio(at(20)) == 1.0


def test_without_a_budget_the_rate_holds() -> None:
    assert ScheduleConfig(warmup_steps=0).rate_ratio(at(1e6, step=10**6)) == 1.0
