"""Which rules never helped: that never fired, that fired all the time, or only together with another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

ALWAYS_RATIO: Final = 0.5
"""A rule that fires for more than this share of the time tells nobody anything."""

TOGETHER_RATIO: Final = 0.9
FEWEST_TOGETHER: Final = 3
"""Fewer alarms than this prove no doubling."""

DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class PastAlarm:
    """One alarm of one rule. resolved_s: None if it fires still."""

    rule: str
    fired_s: float
    resolved_s: float | None


@dataclass(frozen=True, slots=True)
class Usefulness:
    """What a rule did in a period. doubles: the one that most often fired at the same time, and for which share."""

    rule: str
    alarms: int
    firing_ratio: float
    doubles: str | None
    together_ratio: float

    @property
    def verdict(self) -> str:
        """In a few words; empty if there is nothing to say against the rule."""
        if self.alarms == 0:
            return "never fired"
        if self.firing_ratio > ALWAYS_RATIO:
            return f"fired {self.firing_ratio:.0%} of the time"
        if self.doubles and self.alarms >= FEWEST_TOGETHER and self.together_ratio >= TOGETHER_RATIO:
            return f"{self.together_ratio:.0%} of its alarms came while {self.doubles} fired, too"
        return ""


def usefulness(
    rules: Iterable[str], alarms: Sequence[PastAlarm], since_s: float, until_s: float
) -> tuple[Usefulness, ...]:
    """Of each rule, by name. An alarm counts if any of it lies within the period."""
    spans = {rule: _spans(alarms, rule, since_s, until_s) for rule in sorted({*rules, *(each.rule for each in alarms)})}
    counts = {rule: sum(each.rule == rule and _lies_in(each, since_s, until_s) for each in alarms) for rule in spans}
    return tuple(_of_rule(rule, spans, counts[rule], until_s - since_s) for rule in spans)


Span = tuple[float, float]


def _of_rule(rule: str, spans: Mapping[str, Sequence[Span]], count: int, period_s: float) -> Usefulness:
    own = spans[rule]
    firing_ratio = sum(end_s - begin_s for begin_s, end_s in own) / period_s
    together = {other: _overlapping(own, theirs) for other, theirs in spans.items() if other != rule}
    most = max(together, key=lambda other: together[other], default=None)
    ratio = together[most] / len(own) if most and own else 0.0
    return Usefulness(rule, count, firing_ratio, most if ratio > 0.0 else None, ratio)


def _lies_in(alarm: PastAlarm, since_s: float, until_s: float) -> bool:
    return alarm.fired_s < until_s and (alarm.resolved_s is None or alarm.resolved_s > since_s)


def _spans(alarms: Iterable[PastAlarm], rule: str, since_s: float, until_s: float) -> list[Span]:
    """When the rule fired, whichever its slice: spans that lie apart, in order, cut to the period."""
    joined: list[Span] = []
    own = [each for each in alarms if each.rule == rule and _lies_in(each, since_s, until_s)]
    for each in sorted(own, key=lambda each: each.fired_s):
        begin_s = max(each.fired_s, since_s)
        end_s = until_s if each.resolved_s is None else min(each.resolved_s, until_s)
        if joined and begin_s <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_s))
        else:
            joined.append((begin_s, end_s))
    return joined


def _overlapping(spans: Sequence[Span], others: Sequence[Span]) -> int:
    return sum(any(begin_s < end and begin < end_s for begin, end in others) for begin_s, end_s in spans)
