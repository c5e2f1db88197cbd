"""Who is in the next batch: a pure function of who waits, since when, and how many workers are free."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class BatchPolicy(BaseModel):
    """How long windows wait for company, and how much of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_batch: int = Field(8, ge=1, le=256, description="windows recognised in one call, 1 to 256")
    max_wait_ms: float = Field(5.0, ge=0, le=1000, description="a window waits so long for others, in ms")
    queue_limit: int = Field(256, ge=1, description="windows that may wait; one more is refused")


@dataclass(frozen=True, slots=True)
class Go:
    """Recognise the first `count` of those waiting, now."""

    count: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before so many ms have passed, or somebody new waits."""

    at_most_ms: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do before somebody waits and a worker is free."""


Decision = Go | Wait | Rest


def decide(waiting_since_ms: Sequence[float], free_workers: int, now_ms: float, policy: BatchPolicy) -> Decision:
    """What to do now.

    waiting_since_ms: of each window that waits, oldest first. A stream has one window here at a time (the next one
    needs the state after this one), so oldest first is also fair among streams: none is served twice before another
    that waits is served once.

    A batch goes as soon as it is full or its oldest window has waited max_wait_ms; the windows are then shared out
    among the free workers.
    """
    waiting = len(waiting_since_ms)
    if not waiting or not free_workers:
        return Rest()
    patience_ms = waiting_since_ms[0] + policy.max_wait_ms - now_ms
    if waiting < policy.max_batch and patience_ms > 0:
        return Wait(patience_ms)
    share = -(-waiting // free_workers)
    return Go(min(share, policy.max_batch))
