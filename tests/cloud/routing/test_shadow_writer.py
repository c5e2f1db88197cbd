"""Results reach their table whatever the database does meanwhile, or are counted as lost."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
import sqlalchemy
from sqlalchemy import insert, select
from tests.cloud.routing.conftest import FIRST, SECOND
from tests.cloud.routing.speech import run, until

from voxloop_cloud.routing import shadow_writer
from voxloop_cloud.routing.shadow_result import ShadowResult
from voxloop_cloud.routing.shadow_writer import ShadowWriter, write_shadows
from voxloop_cloud.store.tables import SHADOWS, UTTERANCES

RESULTS = [ShadowResult("s1", number, SECOND, "text", 0.5, 3.0, 1, 4) for number in range(3)]


@pytest.fixture
def utterances(database: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch) -> sqlalchemy.Engine:
    monkeypatch.setattr(shadow_writer, "EVERY_S", 0.01)
    rows = [
        {
            "session_id": "s1",
            "segment_id": number,
            "device_id": "kitchen",
            "arrived_s": 0.0,
            "bundle": FIRST,
            "route": "primary",
            "duration_ms": 1000.0,
            "start_sample": 0,
        }
        for number in range(3)
    ]
    with database.begin() as connection:
        connection.execute(insert(UTTERANCES), rows)
    return database


def written(database: sqlalchemy.Engine) -> int:
    with database.connect() as connection:
        return len(connection.execute(select(SHADOWS.c.id)).all())


@pytest.mark.parametrize("error", [sqlalchemy.exc.TimeoutError("no connection is free"), ValueError("unforeseen")])
def test_a_batch_that_fails_is_not_the_last(
    utterances: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: object, __: object) -> set[ShadowResult]:
        raise error

    async def test() -> None:
        writer = ShadowWriter(utterances)
        task = asyncio.create_task(writer.write())
        with monkeypatch.context() as patch:
            patch.setattr(shadow_writer, "write_shadows", fail)
            writer.put(RESULTS[0])
            await asyncio.sleep(0.1)
        writer.put(RESULTS[1])
        await until(lambda: writer.written + writer.lost == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert written(utterances) == writer.written >= 1

    run(test())


def test_what_is_being_written_when_the_server_ends_is_written(
    utterances: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, gate = threading.Event(), threading.Event()

    def slow(database: sqlalchemy.Engine, results: Sequence[ShadowResult]) -> set[ShadowResult]:
        began.set()
        assert gate.wait(20)
        return write_shadows(database, results)

    async def test() -> None:
        writer = ShadowWriter(utterances)
        with monkeypatch.context() as patch:
            patch.setattr(shadow_writer, "write_shadows", slow)
            task = asyncio.create_task(writer.write())
            writer.put(RESULTS[0])
            await asyncio.to_thread(began.wait)
            writer.put(RESULTS[1])
            task.cancel()
            await asyncio.sleep(0)
            gate.set()
            await asyncio.gather(task, return_exceptions=True)
        assert (writer.written, writer.lost) == (2, 0)

    run(test())
    assert written(utterances) == 2
