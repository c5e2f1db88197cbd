"""Rows as the server writes them, with what a test says of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, insert, select

from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import LABELS, SHADOWS, UTTERANCES

PRESENT, CANDIDATE = "model@1", "model@2"


def add_utterance(database: Engine, segment_id: int, arrived_s: float, **changes: Any) -> int:
    """An utterance that the present bundle answered; its id."""
    row: dict[str, Any] = {
        "session_id": "session",
        "segment_id": segment_id,
        "device_id": "device",
        "arrived_s": arrived_s,
        "keeps_audio": True,
        "keeps_text": True,
        "bundle": PRESENT,
        "route": "primary",
        "duration_ms": 1500.0,
        "start_sample": 0,
        "text": "turn the light on",
        "word_count": 4,
        "confidence": 0.9,
        "timings": {"features": [1.0, 0.0], "recognizer": [10.0, 3.0], "decoder": [1.0, 0.0], "vad": [50.0, 0.0]},
        "server_latency_ms": 15.0,
    }
    with writing(database) as connection:
        connection.execute(insert(UTTERANCES).values(row | changes))
        found: int = connection.execute(
            select(UTTERANCES.c.id).where(
                UTTERANCES.c.session_id == (row | changes)["session_id"], UTTERANCES.c.segment_id == segment_id
            )
        ).scalar_one()
        return found


def add_shadow(database: Engine, utterance_id: int, **changes: Any) -> None:
    """What the candidate made of it: the same."""
    row: dict[str, Any] = {
        "utterance_id": utterance_id,
        "bundle": CANDIDATE,
        "text": "turn the light on",
        "is_null": False,
        "confidence": 0.9,
        "busy_ms": 12.0,
        "disagreement_errors": 0,
        "disagreement_words": 4,
    }
    with writing(database) as connection:
        connection.execute(insert(SHADOWS).values(row | changes))


def add_label(database: Engine, utterance_id: int, created_s: float, **changes: Any) -> None:
    """What a reviewer heard."""
    row = {"utterance_id": utterance_id, "text": "turn the light on", "author": "ann", "source": "review"}
    with writing(database) as connection:
        connection.execute(insert(LABELS).values(row | {"created_s": created_s} | changes))


def add_shadowed(
    database: Engine, count: int, arrived_s: float, labelled: bool = True, shadow: Sequence[tuple[str, Any]] = ()
) -> None:
    """So many utterances that both heard. shadow: what of the candidate's is other than the present's."""
    with database.connect() as connection:
        known = connection.execute(select(UTTERANCES.c.id)).all()
    for number in range(len(known) + 1, len(known) + 1 + count):
        utterance_id = add_utterance(database, number, arrived_s)
        add_shadow(database, utterance_id, **dict(shadow))
        if labelled:
            add_label(database, utterance_id, arrived_s)
