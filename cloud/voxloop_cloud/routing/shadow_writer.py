"""Writes what shadows heard into their table, behind a bounded queue, once the utterance itself is there."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.routing.shadow_result import ShadowResult
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import SHADOWS, UTTERANCES

MOST_WAITING: Final = 2_000
"""Results; beyond it the oldest give way."""

EVERY_S: Final = 0.5
BATCH: Final = 100
PATIENCE_S: Final = 30.0
"""How long a result waits for its utterance: that may be held up by the database, or never be written at all."""

_log = structlog.get_logger("voxloop.shadows")


class ShadowWriter:
    """Takes results on the event loop and writes them in a thread, a batch at a time."""

    def __init__(self, database: Engine) -> None:
        self.written = self.lost = 0
        self._database = database
        self._waiting: deque[tuple[float, ShadowResult]] = deque()

    def put(self, result: ShadowResult) -> None:
        """Returns at once."""
        self._waiting.append((time.monotonic(), result))
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1

    async def write(self) -> None:
        """Until it is cancelled; what is left then is written a last time."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                await self._write_whole()
        finally:
            await self._write_all()

    async def _write_whole(self) -> None:
        """Cancelled, it ends what it has begun: a batch is either written or waits."""
        writing_all = asyncio.create_task(self._write_all(), name="write shadows")
        try:
            await asyncio.shield(writing_all)
        except asyncio.CancelledError:
            await asyncio.wait([writing_all])
            raise

    async def _write_all(self) -> None:
        for _ in range(0, len(self._waiting), BATCH):
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                written = await asyncio.to_thread(write_shadows, self._database, [result for _, result in batch])
            except SQLAlchemyError as error:
                reason = str(getattr(error, "orig", None) or error).splitlines()[0]
                _log.warning("shadows.not_written", error=reason, waiting=len(batch))
                written = set()
            except Exception:  # noqa: BLE001 (the task's boundary: the next batch is another one)
                _log.exception("shadows.lost", lost=len(batch))
                self.lost += len(batch)
                continue
            self.written += len(written)
            left = [each for each in batch if each[1] not in written]
            young = [each for each in left if time.monotonic() - each[0] < PATIENCE_S]
            self.lost += len(left) - len(young)
            self._waiting.extend(young)


def write_shadows(database: Engine, results: Sequence[ShadowResult]) -> set[ShadowResult]:
    """Writes those whose utterance is there, and returns them; text only where the device lets it be kept."""
    with writing(database) as connection:
        utterances = _utterances(connection, results)
        rows = {result: utterances.get((result.session_id, result.segment_id)) for result in results}
        found = {result: utterance for result, utterance in rows.items() if utterance is not None}
        if found:
            values = [_row(result, *utterance) for result, utterance in found.items()]
            connection.execute(_insert(connection.dialect.name), values)
    return set(found)


def _utterances(connection: Connection, results: Sequence[ShadowResult]) -> dict[tuple[str, int], tuple[int, bool]]:
    """By session and segment: the utterance's id, and whether its text may be kept."""
    columns = UTTERANCES.c
    wanted = [(result.session_id, result.segment_id) for result in results]
    rows = connection.execute(
        select(columns.session_id, columns.segment_id, columns.id, columns.keeps_text).where(
            tuple_(columns.session_id, columns.segment_id).in_(wanted)
        )
    )
    return {(row.session_id, row.segment_id): (row.id, row.keeps_text) for row in rows}


def _row(result: ShadowResult, utterance_id: int, keeps_text: bool) -> dict[str, Any]:
    return {
        "utterance_id": utterance_id,
        "bundle": result.bundle,
        "text": result.text if keeps_text else None,
        "is_null": result.is_null,
        "confidence": result.confidence,
        "busy_ms": result.busy_ms,
        "disagreement_errors": result.disagreement_errors,
        "disagreement_words": result.disagreement_words,
    }


def _insert(dialect: str) -> Any:
    """A segment that came twice is heard twice; the first result stands."""
    insert = postgresql.insert(SHADOWS) if dialect == "postgresql" else sqlite.insert(SHADOWS)
    return insert.on_conflict_do_nothing(index_elements=[SHADOWS.c.utterance_id, SHADOWS.c.bundle])
