"""What PostgreSQL does otherwise than SQLite, on a server of its own: turns of writers, and waiting."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, inspect, select
from sqlalchemy.exc import OperationalError

from voxloop_cloud.records.erasure import erase_device
from voxloop_cloud.records.testing import NOON_S, some_heard, some_hello
from voxloop_cloud.records.utterance import make_record
from voxloop_cloud.store import database
from voxloop_cloud.store.database import open_database, writing
from voxloop_cloud.store.tables import METADATA, UTTERANCES
from voxloop_proto.errors import ConfigError

if TYPE_CHECKING:
    from tests.cloud.store.postgresql import PostgreSql


def test_several_servers_may_open_a_new_database_at_once(postgresql: "PostgreSql") -> None:
    url = postgresql.new_database(empty=True)
    with ThreadPoolExecutor(1) as other:
        first, second = other.submit(open_database, url), open_database(url)
        opened = (first.result(), second)
    for engine in opened:
        assert set(inspect(engine).get_table_names()) == {*METADATA.tables, "alembic_version"}
        engine.dispose()


def test_a_record_that_is_being_written_does_not_outlive_an_erasure(postgresql: "PostgreSql") -> None:
    engine = open_database(postgresql.new_database())
    record = make_record(some_heard(some_hello()))
    with ThreadPoolExecutor(1) as other:
        with writing(engine, appends=True) as connection:
            connection.execute(insert(UTTERANCES), [record.to_row()])
            erasing = other.submit(erase_device, engine, None, "kitchen", NOON_S + 1.0)
            with pytest.raises(TimeoutError):
                erasing.result(timeout=0.3)  # it waits for its turn
        assert erasing.result(timeout=20.0).utterances == 1
    with engine.connect() as connection:
        assert connection.execute(select(UTTERANCES.c.id)).all() == []
    engine.dispose()


def test_who_appends_waits_for_nobody_who_appends_and_nobody_waits_for_ever(
    postgresql: "PostgreSql", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_POSTGRESQL_TIMES_MS", {"lock_timeout": 100})
    engine = open_database(postgresql.new_database())
    is_late = pytest.raises(OperationalError, match="lock timeout")
    with writing(engine, appends=True), writing(engine, appends=True), is_late, writing(engine):
        pass
    with writing(engine), is_late, writing(engine, appends=True):
        pass
    engine.dispose()


def test_a_server_that_is_not_there_is_a_clear_error() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match=r"postgresql://me:\*\*\*@127\.0\.0\.1:1/x cannot be opened"):
        open_database("postgresql://me:hush@127.0.0.1:1/x")
