"""How a metric is declared: once, for the recorder, the documentation, the dashboard and the alarms alike."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

Label = Literal["bundle", "route", "vad_kind", "device_kind", "code"]
"""All that series may be told apart by; each is bounded. Never a device, session or person."""

STAGES: Final = (
    "device",
    "capture",
    "vad",
    "normalizer",
    "uplink",
    "queue",
    "features",
    "recognizer",
    "decoder",
    "router",
    "outcome",
    "server",
)
"""From the microphone to what became of the text; the machines around them first and last."""

BUSY_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LATENCY_S: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
LEVEL_DBFS: Final = (-80.0, -70.0, -60.0, -50.0, -45.0, -40.0, -35.0, -30.0, -25.0, -20.0, -15.0, -10.0, -5.0, 0.0)
TENTHS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class MetricKind(Enum):
    """COUNTER: only grows. GAUGE: how it is now. HISTOGRAM: how a measure is distributed over segments."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. Its name is voxloop_STAGE_WHAT_UNIT, a counter's with _total at the end.

    codes: all that the label `code` may be; whatever else is counted as "other".
    buckets: upper bounds of a histogram, rising; the last, infinity, goes without saying.
    least, most: beyond them, a value is no measure but a mistake or a lie, and is not taken: one infinity would spoil a
    histogram's sum for good.
    of_highest: of several workers a gauge shows the highest; else the sum.
    """

    name: str
    kind: MetricKind
    stage: str
    unit: str
    help: str
    labels: tuple[Label, ...] = ()
    codes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    least: float = 0.0
    most: float = math.inf
    of_highest: bool = False

    @property
    def is_signed(self) -> bool:
        """Whether a histogram has values below zero: it has no sum then, as one that falls looks like a restart."""
        return bool(self.buckets) and self.buckets[0] < 0.0

    @property
    def sample_names(self) -> tuple[str, ...]:
        """The names under which a page shows it."""
        if self.kind is not MetricKind.HISTOGRAM:
            return (self.name,)
        parts = ("bucket", "count") if self.is_signed else ("bucket", "count", "sum")
        return tuple(f"{self.name}_{part}" for part in parts)


def counter(
    name: str, unit: str, help_text: str, labels: tuple[Label, ...] = (), codes: tuple[str, ...] = ()
) -> MetricSpec:
    """A counter of the stage that its name says."""
    return MetricSpec(name, MetricKind.COUNTER, stage_in(name), unit, help_text, labels, codes)


def gauge(name: str, unit: str, help_text: str, *, of_highest: bool = False) -> MetricSpec:
    """A gauge of the stage that its name says. Gauges have no labels: they are of a whole process."""
    return MetricSpec(name, MetricKind.GAUGE, stage_in(name), unit, help_text, of_highest=of_highest)


def histogram(
    name: str,
    unit: str,
    help_text: str,
    labels: tuple[Label, ...],
    buckets: tuple[float, ...],
    least: float = 0.0,
    most: float = math.inf,
) -> MetricSpec:
    """A histogram of the stage that its name says."""
    most = 3_600.0 if unit == "s" and math.isinf(most) else most
    return MetricSpec(name, MetricKind.HISTOGRAM, stage_in(name), unit, help_text, labels, (), buckets, least, most)


def busy(stage: str, help_text: str, labels: tuple[Label, ...]) -> MetricSpec:
    """The histogram of the time that a stage worked on each segment."""
    return histogram(f"voxloop_{stage}_busy_seconds", "s", help_text, labels, BUSY_S)


def stage_in(name: str) -> str:
    """The stage that a metric's name says."""
    return name.split("_")[1]
