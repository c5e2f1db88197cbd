"""Samples of metrics, and what is remembered of them: the points of each series, as far back as rules look."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""

Point = tuple[float, float]
"""When, in seconds, and which value."""

History = Mapping[str, Mapping[Labels, tuple[Point, ...]]]
"""By the sample's name, then by its labels; the oldest point first."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series, as it was read."""

    name: str
    labels: Labels
    value: float


def extended(history: History, samples: Iterable[Sample], at_s: float, reach_s: Mapping[str, float]) -> History:
    """The history with these samples of `at_s`, as far back as reach_s says for each name; other names are not kept."""
    kept = {
        name: {labels: recent for labels, points in series.items() if (recent := since(points, at_s - reach_s[name]))}
        for name, series in history.items()
        if name in reach_s
    }
    for sample in samples:
        if sample.name not in reach_s:
            continue
        series = kept.setdefault(sample.name, {})
        series[sample.labels] = (*series.get(sample.labels, ()), (at_s, sample.value))
    return {name: series for name, series in kept.items() if series}


def since(points: tuple[Point, ...], from_s: float) -> tuple[Point, ...]:
    """The points from a time on, that time included."""
    return points[bisect_left(points, from_s, key=itemgetter(0)) :]
