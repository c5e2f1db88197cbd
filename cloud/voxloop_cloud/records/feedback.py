"""What a user did with a transcript, filed with its utterance."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine, case, select, update

from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import UTTERANCES
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb

MAX_SEGMENT_ID: Final = (1 << 63) - 1
_COUNTED_BY: Final = ("bundle", "route", "device_kind", "vad_kind", "app_version", "locale")


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of one utterance. outcome: redone, typed, clicked or corrected; text: typed, or corrected to."""

    device_id: str
    session_id: str
    segment_id: int
    outcome: str
    redone_in_segment: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome that was filed, and what it is counted by. before: what was filed for this utterance until then."""

    outcome: str
    before: str | None
    bundle: str
    route: str
    device_kind: str
    vad_kind: str
    app_version: str
    locale: str


def read_feedback(request: pb.FeedbackRequest) -> Feedback:
    """The message as a value. Raises ContractError if it says nothing, or names a segment that cannot be."""
    if not 0 < request.segment_id <= MAX_SEGMENT_ID:
        raise ContractError(f"segment_id {request.segment_id}; segments count from 1")
    outcome, redone_in_segment, text = _outcome(request)
    return Feedback(request.device_id, request.session_id, request.segment_id, outcome, redone_in_segment, text)


def _outcome(request: pb.FeedbackRequest) -> tuple[str, int | None, str | None]:
    match request.WhichOneof("outcome"):
        case "redone_in_segment":
            if not request.segment_id < request.redone_in_segment <= MAX_SEGMENT_ID:
                raise ContractError(
                    f"segment {request.segment_id} redone in {request.redone_in_segment}; it must be a later one"
                )
            return "redone", request.redone_in_segment, None
        case "typed_instead":
            return "typed", None, request.typed_instead.replace("\x00", "")
        case "corrected_text":
            return "corrected", None, request.corrected_text.replace("\x00", "")
        case "clicked" if request.clicked:
            return "clicked", None, None
        case _:
            raise ContractError(
                "the feedback says nothing; say redone_in_segment, typed_instead, clicked = true or corrected_text"
            )


def file_feedback(engine: Engine, feedback: Feedback) -> Outcome | None:
    """Files it with the device's utterance, in place of what was filed before; the text if the device lets it be kept.

    None if there is no such utterance of this device; no writer waits for that. The same twice is the same once.
    """
    columns = UTTERANCES.c
    this = (
        (columns.session_id == feedback.session_id)
        & (columns.segment_id == feedback.segment_id)
        & (columns.device_id == feedback.device_id)
    )
    values: dict[Any, Any] = {
        columns.outcome: feedback.outcome,
        columns.redone_in_segment: feedback.redone_in_segment,
        columns.corrected_text: case((columns.keeps_text, feedback.text), else_=None),
    }
    with engine.connect() as connection:
        if connection.execute(select(columns.id).where(this)).first() is None:
            return None
    with writing(engine) as connection:
        found = connection.execute(
            select(columns.outcome, *(columns[name] for name in _COUNTED_BY)).where(this)
        ).first()
        if found is None:  # erased meanwhile
            return None
        connection.execute(update(UTTERANCES).where(this).values(values))
    return Outcome(feedback.outcome, *found)
