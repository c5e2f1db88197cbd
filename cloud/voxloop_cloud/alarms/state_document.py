"""The evaluator's state as JSON, so that a server that was restarted goes on from it."""

from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxloop_cloud.alarms.evaluator import AlarmState
from voxloop_cloud.alarms.phase import Firing, Pending, Phase, Quiet
from voxloop_cloud.alarms.series import Labels, Point
from voxloop_proto.errors import DataError


class StateDocument(BaseModel):
    """An AlarmState in lists, for JSON has no keys of several parts. history: None if it was left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_s: float | None
    history: list[tuple[str, Labels, tuple[Point, ...]]] | None
    phases: list[tuple[str, Labels, Annotated[Quiet | Pending | Firing, Field(discriminator="kind")]]]


def to_document(state: AlarmState, *, with_history: bool = True) -> dict[str, object]:
    """The state in what JSON knows. with_history: the points of series, too, which may be megabytes."""
    history = [(name, labels, points) for name, series in state.history.items() for labels, points in series.items()]
    return StateDocument(
        at_s=state.at_s,
        history=history if with_history else None,
        phases=[(name, labels, phase) for (name, labels), phase in state.phases.items()],
    ).model_dump(mode="json")


def from_document(document: object, at_s: float) -> AlarmState:
    """The state that a document holds, for a server whose clock shows `at_s`.

    If it was written by a clock that was ahead of this one, its points are dropped and its times are taken to be now.
    Raises DataError if it is no such document.
    """
    try:
        found = StateDocument.model_validate(document)
    except ValidationError as error:
        raise DataError(f"the stored state of the alarms can't be read: {error.errors()[0]['msg']}") from error
    phases = {(name, labels): _not_after(phase, at_s) for name, labels, phase in found.phases}
    if found.history is None or found.at_s is None or found.at_s >= at_s:
        return AlarmState(None, {}, phases, resumed_s=at_s)
    history: dict[str, dict[Labels, tuple[Point, ...]]] = {}
    for name, labels, points in found.history:
        history.setdefault(name, {})[labels] = points
    return AlarmState(found.at_s, history, phases)


def _not_after(phase: Phase, at_s: float) -> Phase:
    match phase:
        case Pending(since_s=since_s):
            return replace(phase, since_s=min(since_s, at_s))
        case Firing(seen_s=seen_s, calm_since_s=calm_since_s):
            calm = None if calm_since_s is None else min(calm_since_s, at_s)
            return replace(phase, seen_s=min(seen_s, at_s), calm_since_s=calm)
        case Quiet():
            return phase
