"""What is sent about an event: one JSON object that a person or a program can act on."""

from datetime import UTC, datetime

from voxloop_cloud.alarms.events import DataMissing, DataSeen, Event, Fired, Resolved
from voxloop_cloud.alarms.rule import Rule

Message = dict[str, object]


def to_message(event: Event, rule: Rule | None, instance: str) -> Message | None:
    """The message of an event; None for what is nobody's business: quiet data that come and go, rules of severity note.

    rule: the event's, as it is now; None if it is gone. `id` is the same whenever the message is sent again.
    """
    name = event.rule.name if isinstance(event, Fired) else event.rule
    if (rule is not None and rule.severity == "note") or (
        not isinstance(event, Fired | Resolved) and not event.is_firing
    ):
        return None
    piece = ",".join("=".join(label) for label in event.labels)
    about: Message = {
        "id": f"{instance}/{name}/{piece}/{_kind(event)}/{event.at_s:.3f}",
        "event": _kind(event),
        "rule": name,
        "instance": instance,
        "labels": dict(event.labels),
        "at": _date(event.at_s),
    }
    if rule is not None:
        about |= {name: getattr(rule, name) for name in _TOLD}
    match event:
        case Fired(value=value):
            return about | {"value": value}
        case Resolved(value=value, fired_s=fired_s, cause=cause):
            return about | {"value": value, "fired_at": _date(fired_s), "cause": cause.value}
        case DataMissing() | DataSeen():
            return about


_TOLD = ("stage", "severity", "metric", "comparison", "threshold", "resolves_at", "meaning", "action")


def _kind(event: Event) -> str:
    match event:
        case Fired():
            return "fired"
        case Resolved():
            return "resolved"
        case DataMissing():
            return "data missing"
        case DataSeen():
            return "data seen"


def _date(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
