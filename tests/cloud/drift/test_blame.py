"""Blame: the earliest stage whose own input did not move."""

import numpy as np
import pytest
from tests.cloud.drift.made_stream import MadeStream

from voxloop_cloud.drift.baseline import Baseline
from voxloop_cloud.drift.blame import Blame, blame
from voxloop_cloud.drift.monitor import Monitor
from voxloop_cloud.drift.plan import MonitorPlan

PLAN = MonitorPlan(
    look_utterances=50, turn_s=1_800.0, parts_of_day=4, planned_looks=64, alpha=0.006, tolerance=0.05, least_effect=0.2
)


def first_blame(shifts: dict[str, float], settings: dict[str, str] | None = None) -> Blame:
    stream = MadeStream(seed=11)
    monitor = Monitor(Baseline(stream.utterances(3_000), PLAN), PLAN, np.random.default_rng(0))
    monitor.push(stream.utterances(500))
    for _ in range(40):
        if found := monitor.push(stream.utterances(50, shifts, settings)):
            assert found[0].blame is not None
            return found[0].blame
    raise AssertionError("nothing was found")


@pytest.mark.parametrize(
    ("shifts", "settings", "stage"),
    [
        ({"raw_level_dbfs": -3.0, "applied_gain_db": 3.0, "confidence": -2.0}, None, "capture"),
        ({"raw_level_dbfs": 1.5, "voiced_ratio": -3.0, "feature_mean": 2.0}, {"vad": "stricter"}, "vad"),
        ({"voiced_ratio": -3.0, "confidence": -2.0}, None, "vad"),
        ({"level_dbfs": -3.0, "feature_mean": -3.0}, {"normalization": "-33"}, "normalizer"),
        ({"confidence": -3.0, "characters_per_s": -2.0}, None, "recognizer"),
        ({"characters_per_s": -3.0}, None, "decoder"),
        ({"pace": 3.0, "characters_per_s": 2.5, "confidence": -1.0}, None, "capture"),
        ({"confidence": -4.0, "pace": -1.5, "characters_per_s": -2.0}, None, "recognizer"),
    ],
    ids=[
        *("capture", "vad by setting", "vad alone", "normalizer", "recognizer", "decoder"),
        *("people speak faster", "text that is wrong and short"),
    ],
)
def test_the_stage_that_moved_first_is_named(
    shifts: dict[str, float], settings: dict[str, str] | None, stage: str
) -> None:
    assert first_blame(shifts, settings).stage == stage


def test_a_spectrum_that_moves_alone_is_the_sounds_not_the_features() -> None:
    found = first_blame({"feature_mean": -3.0, "feature_deviation": 3.0})
    assert found.stage == "capture"
    assert "spectrum" in found.reason


def test_what_hardly_moved_is_no_evidence() -> None:
    rng = np.random.default_rng(7)
    names = ("raw_level_dbfs", "confidence")
    before, after = rng.normal(size=(200, 2)), rng.normal(size=(60, 2)) + np.array([0.05, -2.0])
    found = blame(names, before, after, alarmed="confidence")
    assert [move.name for move in found.moved] == ["confidence"]
