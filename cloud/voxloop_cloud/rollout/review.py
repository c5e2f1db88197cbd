"""One utterance that a person is asked to hear, and where that stands."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a review is. WAITING -> CLAIMED -> ANSWERED; a claim that runs out is WAITING again; too late: EXPIRED."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    ANSWERED = "answered"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of people. suggestion: the model's text, if they are to see it. is_awaited: the device waits.

    due_s: Unix seconds after which nobody needs the answer.
    """

    session_id: str
    segment_id: int
    reason: str
    suggestion: str | None
    is_awaited: bool
    due_s: float


@dataclass(frozen=True, slots=True)
class Review:
    """A row of the queue, with what its reviewer needs of the utterance. Times in Unix seconds."""

    id: int
    utterance_id: int
    session_id: str
    segment_id: int
    state: State
    reason: str
    suggestion: str | None
    is_awaited: bool
    created_s: float
    due_s: float
    claimed_by: str | None
    claimed_until_s: float | None
    answer: str | None
    clip: str | None
    duration_ms: float
