"""Writes records into the table of utterances, once each."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Engine, and_, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from voxloop_cloud.records.clip_key import device_digest
from voxloop_cloud.records.redo_watch import Redo
from voxloop_cloud.records.utterance import COLUMNS, UtteranceRecord
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import ERASURES, UTTERANCES

_NOT_OF_THE_ANSWER: Final = frozenset(
    {"session_id", "segment_id", "outcome", "redone_in_segment", "redo_probability", "corrected_text"}
)
_REDO: Final = (
    update(UTTERANCES)
    .where(UTTERANCES.c.session_id == bindparam("of_session"), UTTERANCES.c.segment_id == bindparam("of_segment"))
    .values(redo_probability=bindparam("probability"))
)


def write_records(
    engine: Engine, records: Sequence[UtteranceRecord], redos: Sequence[Redo] = ()
) -> list[UtteranceRecord]:
    """Writes all of them or, if it raises what SQLAlchemy raises, none.

    The first answer to a segment stands: one that is there already is left as it is, but for a failure, which the
    answer to the segment's second sending replaces. Redos follow the records. Returns the records that were left out
    because their device has been erased since they arrived.
    """
    with writing(engine, appends=True) as connection:
        erased = _erased(connection, records)
        kept = [record for record in records if record not in erased]
        if kept:
            connection.execute(_insert(connection.dialect.name), [record.to_row() for record in kept])
        if redos:
            connection.execute(_REDO, [_parameters(redo) for redo in redos])
    return erased


def _parameters(redo: Redo) -> dict[str, Any]:
    return {"of_session": redo.session_id, "of_segment": redo.segment_id, "probability": redo.probability}


def _erased(connection: Connection, records: Sequence[UtteranceRecord]) -> list[UtteranceRecord]:
    digests = {record.device_id: device_digest(record.device_id) for record in records}
    found = connection.execute(
        select(ERASURES.c.device, ERASURES.c.erased_s).where(ERASURES.c.device.in_(digests.values()))
    )
    erased_s = {digest: moment_s for digest, moment_s in found}
    return [record for record in records if record.arrived_s < erased_s.get(digests[record.device_id], 0.0)]


@lru_cache
def _insert(dialect: str) -> Any:
    insert = postgresql.insert(UTTERANCES) if dialect == "postgresql" else sqlite.insert(UTTERANCES)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["session_id", "segment_id"],
        set_={name: new[name] for name in COLUMNS if name not in _NOT_OF_THE_ANSWER},
        where=and_(UTTERANCES.c.failure.is_not(None), new.failure.is_(None), UTTERANCES.c.device_id == new.device_id),
    )
