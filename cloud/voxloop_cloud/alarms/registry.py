"""The server's own metrics as the evaluator takes them."""

from collections.abc import Iterable, Iterator

from prometheus_client import Metric

from voxloop_cloud.alarms.series import Sample


def samples_of(metrics: Iterable[Metric]) -> Iterator[Sample]:
    """The samples of all metrics, under the names that Prometheus would scrape."""
    for metric in metrics:
        for sample in metric.samples:
            yield Sample(sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
