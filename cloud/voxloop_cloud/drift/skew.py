"""Whether what is served is what was trained on: a check of its own, which needs no history and no statistics.

The features themselves cannot differ by setting: the server computes them as the bundle says, and refuses a model whose
metadata says otherwise. So they are compared by their values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxloop_cloud.bundle_config import BundleConfig
from voxloop_cloud.drift.training_reference import TrainingReference
from voxloop_cloud.drift.utterances import Floats

PADDING_TOLERANCE_MS: Final = 5.0
TARGET_TOLERANCE_DB: Final = 0.5
FEATURE_TOLERANCE: Final = 0.5
"""Deviations of the training clips by which the mean of a feature statistic may differ."""


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """Settings that some utterances share. None: the device did not say, or does not normalize."""

    vad_kind: str
    padding_before_ms: float | None
    padding_after_ms: float | None
    normalization_target_dbfs: float | None
    utterances: int
    devices: int


@dataclass(frozen=True, slots=True)
class Skew:
    """One way in which the field differs from training. share: of the utterances looked at, 0 to 1."""

    stage: str
    what: str
    expected: str
    found: str
    utterances: int
    devices: int
    share: float

    def sentence(self) -> str:
        """For a person."""
        whose = f"{self.share:.0%} of the utterances" + (f", {self.devices} device(s)" if self.devices else "")
        return f"{self.stage}: {self.what} is {self.found}, trained with {self.expected}: {whose}"


def settings_skew(groups: Sequence[DeviceSettings], config: BundleConfig) -> list[Skew]:
    """What devices are set to, against bundle.toml; the most frequent difference first."""
    every = sum(group.utterances for group in groups)
    found: list[Skew] = []
    for group in groups:
        for stage, what, expected, actual in _differences(group, config):
            found.append(Skew(stage, what, expected, actual, group.utterances, group.devices, group.utterances / every))
    return sorted(found, key=lambda skew: -skew.utterances)


def _differences(group: DeviceSettings, config: BundleConfig) -> list[tuple[str, str, str, str]]:
    """Stage, setting, what it was in training, and what it is."""
    found: list[tuple[str, str, str, str]] = []
    if group.vad_kind == "none":
        found.append(("vad", "VAD", "silence cut off", "none: silence is sent as it is"))
    else:
        for side, trained_ms in (("before", config.padding.before_ms), ("after", config.padding.after_ms)):
            actual_ms = group.padding_before_ms if side == "before" else group.padding_after_ms
            if actual_ms is not None and abs(actual_ms - trained_ms) > PADDING_TOLERANCE_MS:
                found.append(("vad", f"padding {side} speech", f"{trained_ms} ms", f"{actual_ms:g} ms"))
    target, trained_target = group.normalization_target_dbfs, config.normalization.target_dbfs
    if target is None:
        found.append(("normalizer", "level", f"{trained_target:g} dBFS", "as recorded"))
    elif abs(target - trained_target) > TARGET_TOLERANCE_DB:
        found.append(("normalizer", "level", f"{trained_target:g} dBFS", f"{target:g} dBFS"))
    return found


def feature_skew(values: Mapping[str, Floats], reference: TrainingReference) -> list[Skew]:
    """Means of the feature statistics over utterances, (N,) each, against the training data's, if it has them."""
    found: list[Skew] = []
    for name in ("feature_mean", "feature_deviation"):
        histogram = reference.histograms.get(name)
        measured = values[name][~np.isnan(values[name])]
        if histogram is None or not len(measured):
            continue
        mean = float(measured.mean())
        if abs(mean - histogram.mean) > FEATURE_TOLERANCE * histogram.std:
            trained = f"{histogram.mean:.2f} on average"
            found.append(Skew("features", name, trained, f"{mean:.2f}", len(measured), 0, 1.0))
    return found
