"""What the alarms are, from rules, what was, and the samples of now. No clock, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from voxloop_cloud.alarms.aggregate import figures_of
from voxloop_cloud.alarms.events import Cause, Event, Resolved
from voxloop_cloud.alarms.phase import UNSEEN, Firing, Phase, Quiet, step
from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.series import History, Labels, Sample, extended

Key = tuple[str, Labels]
"""One alarm: the rule's name, and its slice."""


@dataclass(frozen=True, slots=True)
class AlarmState:
    """All that the next evaluation goes on from.

    resumed_s: when it was taken over from another process, whose points of series it has not; None if it was not.
    """

    at_s: float | None = None
    history: History = field(default_factory=dict)
    phases: Mapping[Key, Phase] = field(default_factory=dict)
    resumed_s: float | None = field(default=None, compare=False)

    @property
    def firing(self) -> dict[Key, Firing]:
        """The alarms that fire."""
        return {key: phase for key, phase in self.phases.items() if isinstance(phase, Firing)}


def evaluate(
    rules: Sequence[Rule], state: AlarmState, samples: Iterable[Sample], at_s: float
) -> tuple[AlarmState, tuple[Event, ...]]:
    """One evaluation, of samples that were read at `at_s`, which is later than the one before.

    The events are ordered by rule and slice, whatever the order of the rules. An alarm whose rule is gone, or is split
    otherwise now, resolves and says so. In a state that was taken over, data that are missing say nothing until a whole
    window has been seen: what fired or was about to goes on.
    """
    assert state.at_s is None or at_s > state.at_s
    reach_s: dict[str, float] = {}
    for rule in rules:
        for name in rule.exposed_names:
            reach_s[name] = max(reach_s.get(name, 0.0), rule.window_s)
    history = extended(state.history, samples, at_s, reach_s)
    phases: dict[Key, Phase] = {}
    events: list[Event] = []
    for rule in sorted(rules, key=lambda rule: rule.name):
        figures = figures_of(rule, history, at_s)
        known = {piece for name, piece in state.phases if name == rule.name and _is_slice_of(rule, piece)}
        whole: set[Labels] = set() if rule.split_by else {()}
        for piece in sorted(known | figures.keys() | whole):
            key = (rule.name, piece)
            before = state.phases.get(key, UNSEEN)
            if piece not in figures and not isinstance(before, Quiet) and _is_resuming(state, rule, at_s):
                phases[key] = before
                continue
            after, news = step(rule, piece, before, figures.get(piece), at_s)
            events += news
            if not rule.split_by or after != UNSEEN:  # a slice that is gone is forgotten
                phases[key] = after
    events += _orphans(rules, state, at_s)
    return AlarmState(at_s, history, phases, state.resumed_s), tuple(events)


def _is_resuming(state: AlarmState, rule: Rule, at_s: float) -> bool:
    return state.resumed_s is not None and at_s - state.resumed_s < rule.window_s


def _orphans(rules: Sequence[Rule], state: AlarmState, at_s: float) -> list[Resolved]:
    by_name = {rule.name: rule for rule in rules}
    return [
        Resolved(name, piece, at_s, phase.fired_s, None, Cause.CHANGED)
        for (name, piece), phase in sorted(state.firing.items())
        if name not in by_name or not _is_slice_of(by_name[name], piece)
    ]


def _is_slice_of(rule: Rule, labels: Labels) -> bool:
    """Whether the rule, as it is now, has slices with these labels; series without its label make one of their own."""
    names = [name for name, _ in labels]
    return names == [rule.split_by] if names else True
