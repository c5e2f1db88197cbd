"""Keeps the figures of declared metrics, in prometheus_client's registry."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from voxloop_proto.metrics.spec import MetricKind, MetricSpec

OTHER: Final = "other"
"""What a label is beyond the values that it may have."""

Collector: TypeAlias = Counter | Gauge | Histogram


class Instruments:
    """All metrics of a process. Series are made by `series`, once for each set of labels, and kept."""

    def __init__(self, specs: Iterable[MetricSpec], registry: CollectorRegistry) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._collectors = {spec.name: _collector(spec, registry) for spec in self._specs.values()}
        self._series: dict[tuple[tuple[str, str], ...], Series] = {}

    def series(self, **labels: str) -> "Series":
        """The metrics that have just these labels (`code` aside, which is said with each count).

        Their series begin at zero now, so that the first event is seen as a rise. Who calls bounds the labels' values.
        """
        key = tuple(labels.items())
        if key not in self._series:
            self._series[key] = Series(self._specs, self._collectors, labels)
        return self._series[key]


class Series:
    """The metrics that some labels lead to."""

    def __init__(self, specs: dict[str, MetricSpec], collectors: dict[str, Collector], labels: dict[str, str]) -> None:
        self._histograms: dict[str, tuple[Histogram, float, float]] = {}
        self._counters: dict[tuple[str, str], Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        for name, spec in specs.items():
            if labels.keys() == set(spec.labels) - {"code"}:
                self._add(spec, collectors[name], labels)

    def _add(self, spec: MetricSpec, collector: Collector, labels: dict[str, str]) -> None:
        match collector:
            case Histogram():
                found = collector.labels(**labels) if labels else collector
                self._histograms[spec.name] = (found, spec.least, spec.most)
            case Counter():
                for code in (*spec.codes, OTHER) if spec.codes else ("",):
                    own = labels | ({"code": code} if spec.codes else {})
                    self._counters[spec.name, code] = collector.labels(**own) if own else collector
            case Gauge():
                self._gauges[spec.name] = collector

    def observe(self, name: str, value: float) -> bool:
        """Puts a measure into a histogram; False if it is none: not a number, or beyond what can be."""
        collector, least, most = self._histograms[name]
        if not least <= value <= most:
            return False
        collector.observe(value)
        return True

    def count(self, name: str, amount: float = 1.0, code: str = "") -> None:
        """Raises a counter. code: of those that the metric declares; any other one is counted as "other"."""
        found = self._counters.get((name, code)) or self._counters[name, OTHER]
        found.inc(amount)

    def show(self, name: str, value: float) -> None:
        """Sets a gauge."""
        self._gauges[name].set(value)


def _collector(spec: MetricSpec, registry: CollectorRegistry) -> Collector:
    match spec.kind:
        case MetricKind.COUNTER:
            return Counter(spec.name, spec.help, spec.labels, registry=registry)
        case MetricKind.HISTOGRAM:
            return Histogram(spec.name, spec.help, spec.labels, registry=registry, buckets=spec.buckets)
        case MetricKind.GAUGE:
            mode: Literal["livemax", "livesum"] = "livemax" if spec.of_highest else "livesum"
            return Gauge(spec.name, spec.help, spec.labels, registry=registry, multiprocess_mode=mode)
