"""Whether a rule fits the metrics that the server has: a name that nothing exposes is an alarm that never comes."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from voxloop_cloud.alarms.rule import Aggregation, Rule
from voxloop_cloud.metrics.catalogue import SERVER_METRICS
from voxloop_proto.metrics.instruments import OTHER
from voxloop_proto.metrics.spec import MetricKind, MetricSpec

METRICS: Final[Mapping[str, MetricSpec]] = {spec.name: spec for spec in SERVER_METRICS}

_KIND_OF: Final[Mapping[Aggregation, MetricKind]] = {
    "rate": MetricKind.COUNTER,
    "share": MetricKind.COUNTER,
    "mean": MetricKind.HISTOGRAM,
    "quantile": MetricKind.HISTOGRAM,
    "max": MetricKind.GAUGE,
}


def faults_of(rule: Rule) -> Iterator[str]:
    """What does not fit, a sentence each."""
    yield from _faults_of_metric(rule, "metric", rule.metric, rule.where)
    if rule.of is not None:
        yield from _faults_of_metric(rule, "of", rule.of, rule.of_where)
    spec = METRICS.get(rule.metric)
    if spec and rule.aggregation == "mean" and spec.is_signed:
        yield f"mean of {spec.name}: a histogram of values below zero has no sum; allowed is quantile"
    highest = max(rule.threshold, rule.resolves_at)
    if spec and rule.aggregation == "quantile" and spec.buckets and highest >= spec.buckets[-1]:
        yield (
            f"threshold = {highest:g}: the last bucket of {spec.name} ends at {spec.buckets[-1]:g}, "
            "and no quantile can be told beyond it; allowed is less"
        )


def _faults_of_metric(rule: Rule, field: str, name: str, where: Mapping[str, str]) -> Iterator[str]:
    spec = METRICS.get(name)
    if spec is None:
        close = get_close_matches(name, METRICS, n=3) or [known for known in METRICS if f"_{rule.stage}_" in known]
        yield f"field {field} = {name!r}: the server has no such metric; close to it: {', '.join(close) or 'none'}"
        return
    kind = _KIND_OF[rule.aggregation]
    if spec.kind is not kind:
        fitting = [aggregation for aggregation, needed in _KIND_OF.items() if needed is spec.kind]
        yield (
            f"field {field} = {name!r} is a {spec.kind.value}, and {rule.aggregation} takes a {kind.value}; "
            f"allowed for it: {', '.join(fitting)}"
        )
    for label in (*where, *([rule.split_by] if rule.split_by else [])):
        if label not in spec.labels:
            yield f"label {label}: {name} has {', '.join(spec.labels) or 'none'}"
    code = where.get("code")
    if code is not None and spec.codes and code not in (*spec.codes, OTHER):
        yield f"code = {code!r}: those of {name} are {', '.join((*spec.codes, OTHER))}"
