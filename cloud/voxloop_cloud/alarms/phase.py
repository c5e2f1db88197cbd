"""Where one alarm is: QUIET -> PENDING -> FIRING -> QUIET. One step of one rule and slice; pure."""

from dataclasses import dataclass, replace
from typing import Literal

from voxloop_cloud.alarms.events import Cause, DataMissing, DataSeen, Event, Fired, Resolved
from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.series import Labels


@dataclass(frozen=True, slots=True)
class Quiet:
    """Within bounds, or without data that would say otherwise."""

    is_missing: bool
    kind: Literal["quiet"] = "quiet"


@dataclass(frozen=True, slots=True)
class Pending:
    """Beyond the threshold, not yet for long enough."""

    since_s: float
    is_missing: bool
    kind: Literal["pending"] = "pending"


@dataclass(frozen=True, slots=True)
class Firing:
    """An alarm. seen_s: when data were last seen. calm_since_s: since when nothing speaks for it any more."""

    fired_s: float
    seen_s: float
    calm_since_s: float | None
    is_missing: bool
    kind: Literal["firing"] = "firing"


Phase = Quiet | Pending | Firing

UNSEEN = Quiet(is_missing=True)
"""Where every alarm begins."""


def step(
    rule: Rule, labels: Labels, phase: Phase, figure: float | None, at_s: float
) -> tuple[Phase, tuple[Event, ...]]:
    """The phase after one evaluation, and what there is to say. figure: None if it is missing."""
    news: tuple[Event, ...] = ()
    if (figure is None) != phase.is_missing:
        kind = DataMissing if figure is None else DataSeen
        news = (kind(rule.name, labels, at_s, isinstance(phase, Firing)),)
        phase = replace(phase, is_missing=figure is None)
    if isinstance(phase, Firing):
        after, more = _go_on(rule, labels, phase, figure, at_s)
    else:
        after, more = _begin(rule, labels, phase, figure, at_s)
    return after, news + more


def _begin(
    rule: Rule, labels: Labels, phase: Quiet | Pending, figure: float | None, at_s: float
) -> tuple[Phase, tuple[Event, ...]]:
    is_beyond = rule.missing == "fire" if figure is None else rule.is_beyond(figure)
    if not is_beyond:
        return Quiet(phase.is_missing), ()
    since_s = phase.since_s if isinstance(phase, Pending) else at_s
    if at_s - since_s < rule.for_s:
        return Pending(since_s, phase.is_missing), ()
    return Firing(at_s, at_s, None, phase.is_missing), (Fired(rule, labels, at_s, figure),)


def _go_on(
    rule: Rule, labels: Labels, phase: Firing, figure: float | None, at_s: float
) -> tuple[Phase, tuple[Event, ...]]:
    if figure is not None:
        phase = replace(phase, seen_s=at_s)
    if _speaks_for(rule, phase, figure, at_s):
        return replace(phase, calm_since_s=None), ()
    calm_since_s = at_s if phase.calm_since_s is None else phase.calm_since_s
    if at_s - calm_since_s < rule.keep_s:
        return replace(phase, calm_since_s=calm_since_s), ()
    cause = Cause.MISSING if figure is None else Cause.BACK
    return Quiet(phase.is_missing), (Resolved(rule.name, labels, at_s, phase.fired_s, figure, cause),)


def _speaks_for(rule: Rule, phase: Firing, figure: float | None, at_s: float) -> bool:
    if figure is not None:
        return rule.is_beyond(figure, is_firing=True)
    match rule.missing:
        case "fire":
            return True
        case "hold":
            return at_s - phase.seen_s <= rule.hold_s
        case "resolve":
            return False
