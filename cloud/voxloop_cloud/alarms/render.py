"""The rules as Prometheus reads them: for each a recording rule of its figure, and an alerting rule with our phases.

`for` and `keep_firing_for` (Prometheus 2.42 and later) are our `for_s` and `keep_s`. What Prometheus has no word for is
said through its own ALERTS series: hysteresis (while it fires, the other limit counts), and to hold on without data.
"""

import json
from collections.abc import Mapping, Sequence
from textwrap import indent

from voxloop_cloud.alarms.rule import Rule

HEADER = (
    "# Made by 'voxloop alarms render' from the rules that the server itself evaluates: change those, not this file.\n"
)
GROUP = "voxloop"


def to_prometheus(rules: Sequence[Rule]) -> str:
    """A rule file for Prometheus, YAML, in the order of names."""
    body = "".join(_recording_rule(rule) + _alerting_rule(rule) for rule in sorted(rules, key=lambda rule: rule.name))
    return f"{HEADER}groups:\n  - name: {GROUP}\n    rules:{body or ' []'}\n"


def alert_name(rule: Rule) -> str:
    """null_transcripts: VoxloopNullTranscripts."""
    return "Voxloop" + "".join(part.capitalize() for part in rule.name.split("_"))


def record_name(rule: Rule) -> str:
    """The series that holds the rule's figure."""
    return f"voxloop:{rule.name}:{rule.aggregation}{_duration(rule.window_s)}"


def _recording_rule(rule: Rule) -> str:
    return f"\n      - record: {record_name(rule)}\n        expr: |\n{indent(_figure(rule), ' ' * 10)}"


def _alerting_rule(rule: Rule) -> str:
    labels = {"severity": rule.severity, "stage": rule.stage}
    annotations = {"summary": _plain(rule.meaning), "action": _plain(rule.action)}
    times = {"for": rule.for_s, "keep_firing_for": rule.keep_s}
    lines = "".join(f"        {name}: {_duration(seconds)}\n" for name, seconds in times.items() if seconds)
    return (
        f"\n      - alert: {alert_name(rule)}\n        expr: |\n{indent(_alarm(rule), ' ' * 10)}\n{lines}"
        f"        labels:\n{_mapping(labels)}\n        annotations:\n{_mapping(annotations)}"
    )


def _figure(rule: Rule) -> str:
    match rule.aggregation:
        case "rate":
            return _rate(rule, rule.metric, rule.where)
        case "max":
            return f"max{_by(rule)} (max_over_time({_series(rule, rule.metric, rule.where)}))"
        case "share":
            assert rule.of is not None
            parts, whole = _rate(rule, rule.metric, rule.where), _rate(rule, rule.of, rule.of_where)
            return f"({parts} or 0 * {whole})\n  / {whole}\n  and {_enough(rule, whole)}"
        case "mean":
            count = _rate(rule, f"{rule.metric}_count", rule.where)
            return f"{_rate(rule, f'{rule.metric}_sum', rule.where)}\n  / {count}\n  and {_enough(rule, count)}"
        case "quantile":
            count = _rate(rule, f"{rule.metric}_count", rule.where)
            buckets = _rate(rule, f"{rule.metric}_bucket", rule.where, "le")
            return f"histogram_quantile({rule.quantile:g}, {buckets})\n  and {_enough(rule, count)}"


def _enough(rule: Rule, rate: str) -> str:
    return f"{rate} * {rule.window_s} >= {rule.min_count}"


def _rate(rule: Rule, name: str, where: Mapping[str, str], *more: str) -> str:
    return f"sum{_by(rule, *more)} (rate({_series(rule, name, where)}))"


def _series(rule: Rule, name: str, where: Mapping[str, str]) -> str:
    matchers = ", ".join(f"{label}={json.dumps(value)}" for label, value in sorted(where.items()))
    return f"{name}{{{matchers}}}[{_duration(rule.window_s)}]" if matchers else f"{name}[{_duration(rule.window_s)}]"


def _by(rule: Rule, *more: str) -> str:
    labels = ", ".join((*more, *_split(rule)))
    return f" by ({labels})" if labels else ""


def _split(rule: Rule) -> tuple[str, ...]:
    return (rule.split_by,) if rule.split_by else ()


def _alarm(rule: Rule) -> str:
    """When the alert's expression holds: beyond the threshold, or firing and not yet back, or as missing data count."""
    figure, sign = record_name(rule), ">" if rule.comparison == "above" else "<"
    on = f"on ({', '.join(_split(rule))})"
    firing = f'ALERTS{{alertname="{alert_name(rule)}", alertstate="firing"}}'
    clauses = [f"{figure} {sign} {rule.threshold!r}"]
    if rule.resolves_at != rule.threshold:
        clauses.append(f"({figure} {sign} {rule.resolves_at!r} and {on} {firing})")
    match rule.missing:
        case "hold":
            seen = f"count_over_time({figure}[{_duration(rule.hold_s)}])"
            clauses.append(f"(max{_by(rule)} ({firing}) and {on} {seen} unless {on} {figure})")
        case "fire":
            clauses.append(f"absent({figure})")
        case "resolve":
            pass
    return "\n  or ".join(clauses)


def _duration(seconds: int) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % length_s == 0:
            return f"{seconds // length_s}{unit}"
    return f"{seconds}s"


def _plain(text: str) -> str:
    """Annotations are templates to Prometheus; ours are text."""
    return text.replace("{{", '{{ "{{" }}')


def _mapping(values: Mapping[str, str]) -> str:
    """JSON's strings are YAML's, too."""
    return "\n".join(f"          {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
