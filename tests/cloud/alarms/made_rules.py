"""Rules for tests, and samples to feed them with."""

from collections.abc import Iterable, Sequence

from voxloop_cloud.alarms.evaluator import AlarmState, evaluate
from voxloop_cloud.alarms.events import Event
from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.series import Labels, Sample

GAUGE = "voxloop_queue_made_windows"
INTERVAL_S = 15


def make_rule(**changes: object) -> Rule:
    """A rule of a gauge that sees its newest sample alone: above 10, until back at 5."""
    fields: dict[str, object] = {
        "name": "made",
        "stage": "queue",
        "metric": GAUGE,
        "aggregation": "max",
        "window_s": 10,
        "comparison": "above",
        "threshold": 10.0,
        "resolves_at": 5.0,
        "severity": "page",
        "missing": "hold",
        "meaning": "It is too much.",
        "action": "Take some away.",
    }
    return Rule.model_validate(fields | changes)


def gauge(value: float | None, **labels: str) -> list[Sample]:
    """The gauge's sample; none if it is missing."""
    return [] if value is None else [Sample(GAUGE, tuple(sorted(labels.items())), value)]


def evaluated(
    rules: Sequence[Rule], scrapes: Iterable[Sequence[Sample]], state: AlarmState | None = None, begin_s: float = 0.0
) -> tuple[AlarmState, list[Event], list[set[tuple[str, Labels]]]]:
    """The last state, all events, and which alarms fire after each evaluation, every INTERVAL_S."""
    state = state or AlarmState()
    events: list[Event] = []
    firing: list[set[tuple[str, Labels]]] = []
    for number, samples in enumerate(scrapes):
        state, news = evaluate(rules, state, samples, begin_s + number * INTERVAL_S)
        events += news
        firing.append(set(state.firing))
    return state, events, firing
