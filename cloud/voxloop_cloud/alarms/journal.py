"""What the store keeps of alarms: each one with its beginning and end, and where the evaluation goes on."""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, Select, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.alarms.evaluator import AlarmState
from voxloop_cloud.alarms.events import Event, Fired, Resolved
from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.series import Labels
from voxloop_cloud.alarms.state_document import from_document, to_document
from voxloop_cloud.alarms.threshold_log import note_edits
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import ALARM_STATES, ALARMS
from voxloop_proto.errors import DataError

MAX_UNWRITTEN: Final = 1_000
"""Events kept while the store is away; beyond it the oldest are lost to it, the log has them."""

_log = structlog.get_logger("voxloop.alarms")


class AlarmJournal:
    """The rows of one server. A store that is away is told in the log; what it missed is written when it is back."""

    def __init__(self, engine: Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self._unwritten: deque[Fired | Resolved] = deque(maxlen=MAX_UNWRITTEN)

    def load(self, at_s: float) -> AlarmState:
        """Where the evaluation goes on; an alarm that fires in the store and not in that state ends now."""
        try:
            with writing(self._engine) as connection:
                state = self._read_state(connection, at_s)
                self._end_unknown(connection, state, at_s)
                return state
        except SQLAlchemyError as error:
            _log.error("alarms.not_read", error=_reason(error))
            return AlarmState()

    def write(self, state: AlarmState, events: Iterable[Event] = ()) -> None:
        """Keeps the alarms that began and ended, and the phases: points of series would be megabytes, and come anew."""
        self._unwritten.extend(event for event in events if isinstance(event, Fired | Resolved))
        try:
            with writing(self._engine) as connection:
                for event in self._unwritten:
                    self._write_event(connection, event)
                self._write_state(connection, state)
        except SQLAlchemyError as error:
            _log.error("alarms.not_written", error=_reason(error), events=len(self._unwritten))
        else:
            self._unwritten.clear()

    def note_edits(self, before: Iterable[Rule], after: Iterable[Rule], at_s: float) -> None:
        """Keeps that thresholds were changed in the file itself."""
        try:
            note_edits(self._engine, before, after, at_s)
        except SQLAlchemyError as error:
            _log.error("alarms.edits_not_written", error=_reason(error))

    def close(self) -> None:
        """Lets go of the store."""
        self._engine.dispose()

    def _read_state(self, connection: Connection, at_s: float) -> AlarmState:
        found = select(ALARM_STATES.c.document).where(ALARM_STATES.c.instance == self._instance)
        document = connection.execute(found).scalar()
        if document is None:
            return AlarmState()
        try:
            return from_document(document, at_s)
        except DataError as error:
            _log.error("alarms.begun_anew", error=error.message)
            return AlarmState()

    def _write_state(self, connection: Connection, state: AlarmState) -> None:
        connection.execute(delete(ALARM_STATES).where(ALARM_STATES.c.instance == self._instance))
        values = {
            "instance": self._instance,
            "saved_s": state.at_s or 0.0,
            "document": to_document(state, with_history=False),
        }
        connection.execute(insert(ALARM_STATES).values(values))

    def _write_event(self, connection: Connection, event: Fired | Resolved) -> None:
        if isinstance(event, Resolved):
            for number, labels in self._open_alarms(connection, event.rule):
                if labels == event.labels:
                    connection.execute(update(ALARMS).where(ALARMS.c.id == number).values(resolved_s=event.at_s))
            return
        row = {
            "instance": self._instance,
            "rule": event.rule.name,
            "severity": event.rule.severity,
            "fired_s": event.at_s,
            "value": event.value,
            "threshold": event.rule.threshold,
            "labels": dict(event.labels),
        }
        connection.execute(insert(ALARMS).values(row))

    def _end_unknown(self, connection: Connection, state: AlarmState, at_s: float) -> None:
        firing = state.firing.keys()
        for rule in connection.execute(self._open().with_only_columns(ALARMS.c.rule).distinct()).scalars().all():
            for number, labels in self._open_alarms(connection, rule):
                if (rule, labels) not in firing:
                    connection.execute(update(ALARMS).where(ALARMS.c.id == number).values(resolved_s=at_s))

    def _open_alarms(self, connection: Connection, rule: str) -> list[tuple[int, Labels]]:
        rows = connection.execute(self._open().where(ALARMS.c.rule == rule))
        return [(row.id, tuple(sorted(row.labels.items()))) for row in rows]

    def _open(self) -> Select[tuple[Any, ...]]:
        return select(ALARMS).where(ALARMS.c.instance == self._instance, ALARMS.c.resolved_s.is_(None))


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
