"""A rule's figure, by slice, from the history of its metric's series. What Prometheus makes of the same: render.py."""

from collections.abc import Iterator, Mapping

from voxloop_cloud.alarms.rate import bucket_quantile, rate_per_s
from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.series import History, Labels, Point, since

Figures = dict[Labels, float]
"""By slice: () of a rule that is not split, else the one label with its value."""


def figures_of(rule: Rule, history: History, at_s: float) -> Figures:
    """The rule's figure of each slice that has data enough in the window; those that have not are missing."""
    match rule.aggregation:
        case "rate":
            return _rates(rule, history, rule.metric, rule.where, at_s)
        case "max":
            return _highest(rule, history, at_s)
        case "share":
            assert rule.of is not None
            parts = _rates(rule, history, rule.metric, rule.where, at_s)
            wholes = _enough(rule, _rates(rule, history, rule.of, rule.of_where, at_s))
            return {piece: parts.get(piece, 0.0) / whole for piece, whole in wholes.items()}
        case "mean":
            sums = _rates(rule, history, f"{rule.metric}_sum", rule.where, at_s)
            counts = _enough(rule, _rates(rule, history, f"{rule.metric}_count", rule.where, at_s))
            return {piece: sums[piece] / count for piece, count in counts.items() if piece in sums}
        case "quantile":
            return _quantiles(rule, history, at_s)


def _enough(rule: Rule, rates: Figures) -> Figures:
    return {piece: rate for piece, rate in rates.items() if rate * rule.window_s >= rule.min_count}


def _rates(rule: Rule, history: History, name: str, where: Mapping[str, str], at_s: float) -> Figures:
    sums: Figures = {}
    for labels, points in _windows(rule, history, name, where, at_s):
        rate = rate_per_s(points, at_s, rule.window_s)
        if rate is not None:
            piece = _slice(rule, labels)
            sums[piece] = sums.get(piece, 0.0) + rate
    return sums


def _highest(rule: Rule, history: History, at_s: float) -> Figures:
    highest: Figures = {}
    for labels, points in _windows(rule, history, rule.metric, rule.where, at_s):
        piece = _slice(rule, labels)
        highest[piece] = max(highest.get(piece, points[0][1]), *(value for _, value in points))
    return highest


def _quantiles(rule: Rule, history: History, at_s: float) -> Figures:
    assert rule.quantile is not None
    buckets: dict[Labels, dict[float, float]] = {}
    for labels, points in _windows(rule, history, f"{rule.metric}_bucket", rule.where, at_s):
        rate = rate_per_s(points, at_s, rule.window_s)
        if rate is not None:
            bounds = buckets.setdefault(_slice(rule, labels), {})
            bound = float(dict(labels)["le"])
            bounds[bound] = bounds.get(bound, 0.0) + rate
    counts = _enough(rule, _rates(rule, history, f"{rule.metric}_count", rule.where, at_s))
    found = {piece: bucket_quantile(rule.quantile, bounds.items()) for piece, bounds in buckets.items()}
    return {piece: value for piece, value in found.items() if value is not None and piece in counts}


def _windows(
    rule: Rule, history: History, name: str, where: Mapping[str, str], at_s: float
) -> Iterator[tuple[Labels, tuple[Point, ...]]]:
    """Each series that the rule looks at, with its points within the window, of which there is at least one."""
    for labels, points in history.get(name, {}).items():
        if where.items() <= dict(labels).items() and (inside := since(points, at_s - rule.window_s)):
            yield labels, inside


def _slice(rule: Rule, labels: Labels) -> Labels:
    return tuple(label for label in labels if label[0] == rule.split_by)
