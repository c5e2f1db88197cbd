"""Skew: what is served against what was trained on."""

import json
from pathlib import Path

import numpy as np
import pytest

from voxloop_cloud.bundle import REFERENCE_FILE, Bundle, default_bundle_path
from voxloop_cloud.drift.distance import wasserstein
from voxloop_cloud.drift.skew import DeviceSettings, feature_skew, settings_skew
from voxloop_cloud.drift.training_reference import Histogram, TrainingReference, read_reference
from voxloop_proto.errors import ContractError


def settings_of(bundle: Bundle, utterances: int = 90, **changed: object) -> DeviceSettings:
    config = bundle.config
    fields: dict[str, object] = {
        "vad_kind": "webrtc",
        "padding_before_ms": float(config.padding.before_ms),
        "padding_after_ms": float(config.padding.after_ms),
        "normalization_target_dbfs": config.normalization.target_dbfs,
        "utterances": utterances,
        "devices": 3,
    }
    return DeviceSettings(**(fields | changed))  # type: ignore[arg-type]  # the values fit the fields


def test_devices_set_as_in_training_are_no_skew(bundle: Bundle) -> None:
    assert settings_skew([settings_of(bundle)], bundle.config) == []


@pytest.mark.parametrize(
    ("changed", "stage", "what"),
    [
        ({"padding_before_ms": 40.0}, "vad", "padding before speech"),
        ({"padding_after_ms": 900.0}, "vad", "padding after speech"),
        ({"vad_kind": "none"}, "vad", "VAD"),
        ({"normalization_target_dbfs": None}, "normalizer", "level"),
        ({"normalization_target_dbfs": -40.0}, "normalizer", "level"),
    ],
)
def test_each_setting_that_differs_is_named_with_its_share(
    bundle: Bundle, changed: dict[str, object], stage: str, what: str
) -> None:
    (found,) = settings_skew([settings_of(bundle), settings_of(bundle, utterances=10, **changed)], bundle.config)
    assert (found.stage, found.what, found.share) == (stage, what, 0.1)
    assert "10%" in found.sentence()


def test_features_far_from_the_training_clips_are_skew(tmp_path: Path) -> None:
    file = tmp_path / REFERENCE_FILE
    histogram = {"edges": [-20, -10, 0], "counts": [5, 5], "mean": -10.0, "std": 2.0}
    file.write_text(json.dumps({"metrics": {"feature_mean": histogram}}))
    reference = read_reference(file)
    near, far = np.array([-10.5, np.nan, -9.6]), np.array([-13.0, -12.0])
    nothing = np.full(2, np.nan)
    assert feature_skew({"feature_mean": near, "feature_deviation": nothing}, reference) == []
    (found,) = feature_skew({"feature_mean": far, "feature_deviation": nothing}, reference)
    assert (found.what, found.found) == ("feature_mean", "-12.50")


def test_the_default_bundles_reference_is_read() -> None:
    reference = read_reference(default_bundle_path() / REFERENCE_FILE)
    assert {"raw_level_dbfs", "duration_ms", "snr_db", "characters_per_s"} <= set(reference.histograms)
    levels = reference.histograms["raw_level_dbfs"]
    assert levels.sample().mean() == pytest.approx(levels.mean, abs=1.0)
    assert levels.sample().std() == pytest.approx(levels.std, rel=0.2)
    ranks = levels.ranks(np.array([-90.0, levels.mean, 5.0, np.nan]))
    assert ranks[0] == levels.counts[0] / sum(levels.counts) / 2
    assert 0.2 < ranks[1] < 0.8
    assert ranks[2] == 1 - levels.counts[-1] / sum(levels.counts) / 2
    assert np.isnan(ranks[3])


def test_training_clips_that_share_one_value_are_no_drift_from_themselves() -> None:
    clipped = Histogram(edges=(0.0, 0.1, 0.2, 0.3), counts=(97, 2, 1), mean=0.0, std=0.01)
    clips = np.repeat([0.0, 0.15, 0.3], (97, 2, 1))
    assert clipped.ranks(clips).mean() == pytest.approx(0.5)
    assert wasserstein(clipped.sample(), clipped.rounded(clips), clipped.std) == pytest.approx(0.0, abs=1e-9)


def test_lengths_are_compared_in_seconds() -> None:
    reference = TrainingReference({})
    assert reference.in_its_unit("duration_ms", np.log2([2_500.0])) == pytest.approx(2.5)
    assert reference.in_its_unit("snr_db", np.array([30.0])) == 30.0


@pytest.mark.parametrize(
    "metrics",
    [
        {"snr_db": {"edges": [0, 1], "counts": [1, 2], "mean": 0, "std": 1}},
        {"snr_db": {"edges": [1, 0], "counts": [1], "mean": 0, "std": 1}},
        {"snr_db": {"edges": [0, 1], "counts": [0], "mean": 0, "std": 1}},
        {"snr_db": 3},
        [],
    ],
)
def test_a_reference_that_is_none_is_refused_with_its_file(tmp_path: Path, metrics: object) -> None:
    file = tmp_path / REFERENCE_FILE
    file.write_text(json.dumps({"metrics": metrics}))
    with pytest.raises(ContractError, match=r"reference\.json is no reference .*export the bundle again"):
        read_reference(file)
