"""What is watched: measures of an utterance and settings of its device, each of one stage."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

STAGES: Final = ("capture", "vad", "normalizer", "uplink", "features", "recognizer", "decoder")
"""In the order of the sound's way: what a stage does wrong is seen there and after it."""

Row = Mapping[str, Any]
"""A row of UTTERANCES, by column; what is missing counts as not measured."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of an utterance, which shows at `stage` first.

    least_deviation: the standard deviation that an effect is divided by is never taken as less: what hardly varies
    would else make a great effect of next to nothing. on_log_scale: of lengths and rates, where ratios count.
    """

    name: str
    stage: str
    least_deviation: float
    on_log_scale: bool = False

    def of(self, row: Row) -> float:
        """The value, NaN if it was not measured."""
        value = _DERIVED[self.name](row) if self.name in _DERIVED else row.get(self.name)
        if value is None:
            return math.nan
        return math.log2(value) if self.on_log_scale and value > 0 else float(value)


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings of the device or the server that belong together. Nothing in the sound can move them."""

    name: str
    stage: str
    columns: tuple[str, ...]

    def of(self, row: Row) -> str:
        """The values as one text, to be compared; empty if none of them is known."""
        values = [row.get(column) for column in self.columns]
        return "" if all(value is None for value in values) else " ".join(_shown(value) for value in values)


PACE: Final = "pace"
"""Characters of text for each second of voice: how fast people speak, as far as the recogniser understands them."""

METRICS: Final = (
    Metric("raw_level_dbfs", "capture", 1.0),
    Metric("snr_db", "capture", 1.0),
    Metric("clipped_ratio", "capture", 0.002),
    Metric("duration_ms", "capture", 0.1, on_log_scale=True),
    Metric(PACE, "capture", 0.1, on_log_scale=True),
    Metric("voiced_ratio", "vad", 0.03),
    Metric("applied_gain_db", "normalizer", 1.0),
    Metric("level_dbfs", "normalizer", 1.0),
    Metric("is_failed", "uplink", 0.1),
    Metric("feature_mean", "features", 0.1),
    Metric("feature_deviation", "features", 0.1),
    Metric("confidence", "recognizer", 0.05),
    Metric("is_null", "recognizer", 0.1),
    Metric("characters_per_s", "decoder", 1.0),
    Metric("is_redone", "decoder", 0.1),
)
WORD_ERROR_RATE: Final = Metric("word_error_rate", "decoder", 0.1)
"""Of labelled utterances, at most 1."""

SETTINGS: Final = (
    Setting("vad", "vad", ("vad_kind", "vad_version", "vad_threshold")),
    Setting("padding", "vad", ("padding_before_ms", "padding_after_ms")),
    Setting("normalization", "normalizer", ("normalization_target_dbfs",)),
    Setting("codec", "uplink", ("codec",)),
    Setting("bundle", "recognizer", ("bundle",)),
)
SLICES: Final = ("device_kind", "vad_kind", "app_version", "locale")


def _pace(row: Row) -> float | None:
    characters_per_s, voiced_ratio = row.get("characters_per_s"), row.get("voiced_ratio")
    return characters_per_s / voiced_ratio if characters_per_s and voiced_ratio else None


_DERIVED: Final[Mapping[str, Callable[[Row], float | None]]] = {
    PACE: _pace,
    "is_failed": lambda row: float(row.get("failure") is not None),
    "is_redone": lambda row: float(row.get("outcome") in ("redone", "typed", "corrected")),
}


def stage_of(name: str) -> str:
    """The stage of a metric or setting."""
    return _STAGE_OF[name]


_STAGE_OF: Final = {each.name: each.stage for each in (*METRICS, WORD_ERROR_RATE, *SETTINGS)}


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)
