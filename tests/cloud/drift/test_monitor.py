"""The monitor: false alarms in bounds with devices and sittings that are alike, changes found, trifles left alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.cloud.drift.made_stream import MadeStream

from voxloop_cloud.drift.baseline import Baseline
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.monitor import Monitor
from voxloop_cloud.drift.plan import MonitorPlan, plan_for
from voxloop_cloud.drift.utterances import Utterances
from voxloop_cloud.drift.verdict import Drift

PLAN = MonitorPlan(
    look_utterances=50, turn_s=1_800.0, parts_of_day=4, planned_looks=64, alpha=0.006, tolerance=0.05, least_effect=0.2
)


def watched(stream: MadeStream, plan: MonitorPlan = PLAN) -> Monitor:
    return Monitor(Baseline(stream.utterances(3_000), plan), plan, np.random.default_rng(0))


@pytest.mark.parametrize("devices", [3, 30, 300])
def test_alike_utterances_of_a_device_and_a_sitting_raise_no_more_alarms_than_allowed(devices: int) -> None:
    alpha = 0.2
    plan = replace(PLAN, planned_looks=40, alpha=alpha, tolerance=0.0, least_effect=0.0)
    alarms = sum(
        bool(watched(stream, plan).push(stream.utterances(2_000)))
        for seed in range(24)
        for stream in [MadeStream(devices=devices, seed=seed)]
    )
    assert alarms <= 24 * alpha, f"{alarms} of 24 streams, seeds 0 to 23"


def test_a_shift_is_found_and_described() -> None:
    stream = MadeStream(seed=1)
    week = stream.utterances(3_000)
    monitor = Monitor(Baseline(week, PLAN), PLAN, np.random.default_rng(0))
    assert monitor.push(stream.utterances(1_000)) == ()
    found: tuple[Drift, ...] = ()
    for _ in range(10):
        found = found or monitor.push(stream.utterances(50, {"snr_db": -2.5}))
    first = found[0]
    assert (first.metric, first.stage, first.slice, first.is_greater) == ("snr_db", "capture", "all", False)
    assert first.e_value >= first.needed
    assert first.effect == pytest.approx(2.5 / week.values["snr_db"].std(), rel=0.4)
    assert 0 < first.ks <= 1
    assert first.utterances >= 50
    assert first.to_row()["report"]["blame"]["stage"] == "capture"


def test_a_trifle_never_alarms_however_many_utterances_there_are() -> None:
    stream = MadeStream(seed=2, between=0.0, sitting=0.0)
    monitor = Monitor(Baseline(stream.utterances(4_000), PLAN), PLAN, np.random.default_rng(0))
    assert [monitor.push(stream.utterances(2_000, {"snr_db": 0.05})) for _ in range(6)] == [()] * 6


def test_a_change_of_one_kind_of_device_is_found_in_its_slice() -> None:
    stream = MadeStream(seed=3)
    monitor = watched(stream)
    found = [
        drift
        for _ in range(60)
        for drift in monitor.push(stream.utterances(50, {"confidence": -3.0}, shifted=lambda device: device % 3 == 1))
    ]
    assert "device_kind=kind-1" in {drift.slice for drift in found}
    assert not {drift.slice for drift in found} & {"device_kind=kind-0", "device_kind=kind-2"}


def with_version_2(utterances: Utterances, is_new: Callable[[int], bool]) -> Utterances:
    new = np.array([is_new(int(device.removeprefix("device-"))) for device in utterances.devices])
    return replace(
        utterances, slices={**utterances.slices, "app_version": np.where(new, "2", utterances.slices["app_version"])}
    )


def test_a_new_app_version_that_changes_what_devices_send_is_named() -> None:
    stream = MadeStream(seed=12)
    monitor = watched(stream)

    def has_it(device: int) -> bool:
        return device % 5 == 0

    found = [
        drift
        for _ in range(30)
        for drift in monitor.push(
            with_version_2(stream.utterances(50, {"raw_level_dbfs": -9.0}, shifted=has_it), has_it)
        )
    ]
    assert found[0].slice == "new app_version"
    assert found[0].blame is not None
    assert found[0].blame.stage == "capture"


def test_a_new_app_version_that_changes_nothing_is_no_drift() -> None:
    stream = MadeStream(seed=13)
    monitor = watched(stream)
    assert monitor.push(with_version_2(stream.utterances(4_000), lambda device: device % 5 == 0)) == ()


def test_one_device_with_a_new_app_version_is_no_slice() -> None:
    stream = MadeStream(seed=14)
    monitor = watched(stream)
    alone = stream.utterances(3_000, {"raw_level_dbfs": -20.0}, shifted=lambda device: device == 7)
    assert monitor.push(with_version_2(alone, lambda device: device == 7)) == ()


def test_a_device_that_changes_alone_is_no_drift_of_all() -> None:
    stream = MadeStream(seed=4)
    monitor = watched(stream)
    assert monitor.push(stream.utterances(3_000, {"raw_level_dbfs": -20.0}, shifted=lambda device: device == 5)) == ()


def test_new_devices_that_are_like_the_others_are_no_drift() -> None:
    stream = MadeStream(devices=60, seed=5)
    known = stream.utterances(6_000)
    old = known.take(np.array([device < "device-040" for device in known.devices]))
    monitor = Monitor(Baseline(old, PLAN), PLAN, np.random.default_rng(0))
    assert monitor.push(stream.utterances(3_000)) == ()


def test_what_each_evening_is_like_is_no_drift() -> None:
    stream = MadeStream(seed=9, evening=6.0)
    week, more = stream.utterances(5_000), stream.utterances(5_000)
    one_for_all = replace(PLAN, parts_of_day=1)
    assert Monitor(Baseline(week, PLAN), PLAN, np.random.default_rng(0)).push(more) == ()
    assert Monitor(Baseline(week, one_for_all), one_for_all, np.random.default_rng(0)).push(more) != ()


def test_each_finding_is_told_once() -> None:
    stream = MadeStream(seed=6)
    monitor = watched(stream)
    found = [drift for _ in range(40) for drift in monitor.push(stream.utterances(50, {"snr_db": -4.0}))]
    told = [(drift.metric, drift.slice, drift.kind) for drift in found]
    assert len(told) == len(set(told))


def test_how_utterances_are_cut_makes_no_difference() -> None:
    def run(size: int) -> list[tuple[str, str, float]]:
        stream = MadeStream(seed=7)
        monitor = watched(stream)
        changed: Utterances = stream.utterances(1_000, {"voiced_ratio": 2.5})
        parts = [changed.take(slice(at, at + size)) for at in range(0, 1_000, size)]
        return [(drift.metric, drift.kind, drift.e_value) for part in parts for drift in monitor.push(part)]

    assert run(7) == run(1_000) != []


def test_what_was_not_measured_raises_nothing() -> None:
    stream = MadeStream(seed=8)
    week = stream.utterances(2_000)
    empty = Utterances(
        week.devices, week.times_s, {name: np.full(2_000, np.nan) for name in week.values}, week.settings, week.slices
    )
    assert Monitor(Baseline(empty, PLAN), PLAN, np.random.default_rng(0)).push(empty) == ()


def test_the_shares_of_the_allowed_false_alarms_add_up_to_it() -> None:
    config = DriftConfig(false_alarms_per_week=0.02)
    plans = [plan_for(name, config, 7_000) for name in ("last week", "reference", "labels")]
    assert sum(plan.alpha for plan in plans) == pytest.approx(0.02)
    for plan in plans:
        for slices in (1, 2, 13):
            tests = np.repeat((1.0 / plan.needed(slices, 18))[:, None], 4, axis=1)  # two sides, two detectors
            assert tests.sum() == pytest.approx(plan.alpha)
