import pytest

from voxloop_training.schedule import ScheduleConfig


def test_the_rate_rises_holds_and_falls_to_zero() -> None:
    schedule = ScheduleConfig(warmup_steps=10, decay_ratio=0.25, budget_minutes=10)
    assert schedule.factor(0.0, 0) == pytest.approx(0.1)
    assert schedule.factor(60.0, 100) == 1.0
    assert schedule.factor(450.0, 100) == pytest.approx(1.0)
    assert schedule.factor(525.0, 100) == pytest.approx(0.5)
    assert schedule.factor(600.0, 100) == 0.0


def test_the_nearer_limit_counts() -> None:
    schedule = ScheduleConfig(budget_minutes=10, budget_steps=100)
    assert schedule.progress(60.0, 90) == 0.9
    assert schedule.progress(540.0, 10) == 0.9


def test_without_a_budget_the_rate_holds() -> None:
    assert ScheduleConfig(warmup_steps=0).factor(1e6, 10**6) == 1.0
