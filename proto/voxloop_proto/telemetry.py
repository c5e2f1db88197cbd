"""Timing of stages from outside: a stage does not know that it is watched."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from voxloop_proto.stage import Stage

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Time that one stage took for one piece of work. busy_ms: working; wait_ms: waiting before it."""

    stage: str
    busy_ms: float
    wait_ms: float = 0.0


class Observer(Protocol):
    """Takes the time of each call of a stage. Must be cheap: it is called for every frame."""

    def observe(self, stage: str, busy_s: float) -> None:
        """One call of the stage took busy_s seconds."""
        ...


class StageClock:
    """An observer that adds up the time of each stage until it is asked."""

    def __init__(self) -> None:
        self._busy_s: dict[str, float] = {}

    def observe(self, stage: str, busy_s: float) -> None:
        """Adds one call's time."""
        self._busy_s[stage] = self._busy_s.get(stage, 0.0) + busy_s

    def take(self) -> tuple[StageTiming, ...]:
        """The times since the last take, in the order in which the stages were first seen."""
        taken = tuple(StageTiming(stage, busy_s * 1000.0) for stage, busy_s in self._busy_s.items())
        self._busy_s = dict.fromkeys(self._busy_s, 0.0)
        return taken


class Observed(Generic[In, Out]):
    """A stage with a stopwatch around it; itself a stage."""

    def __init__(
        self, stage: Stage[In, Out], name: str, observer: Observer, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._stage = stage
        self._name = name
        self._observer = observer
        self._clock = clock

    def push(self, item: In, /) -> tuple[Out, ...]:
        """The stage's push, timed."""
        start_s = self._clock()
        out = self._stage.push(item)
        self._observer.observe(self._name, self._clock() - start_s)
        return out

    def flush(self) -> tuple[Out, ...]:
        """The stage's flush, timed."""
        start_s = self._clock()
        out = self._stage.flush()
        self._observer.observe(self._name, self._clock() - start_s)
        return out


def observed(
    stage: Stage[In, Out], name: str, observer: Observer, clock: Callable[[], float] = time.perf_counter
) -> Observed[In, Out]:
    """The stage, timed under a name."""
    return Observed(stage, name, observer, clock)
