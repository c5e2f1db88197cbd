"""The database: opened by many at once, and clear about what is wrong with it."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, update

from voxloop_cloud.records.testing import fill, many_records
from voxloop_cloud.store.database import open_database, sqlite_url, writing
from voxloop_cloud.store.store_config import StoreConfig
from voxloop_cloud.store.tables import METADATA, UTTERANCES
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError


def open_and_count(url: str) -> int:
    """In a process of its own: the tables that it finds."""
    engine = open_database(url)
    found = len(inspect(engine).get_table_names())
    engine.dispose()
    return found


def test_several_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "state" / "voxloop.db")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.map(open_and_count, [url] * 6, chunksize=1)
    assert set(found) == {len(METADATA.tables) + 1}  # and alembic's own


def test_its_tables_and_indexes_are_those_of_tables(tmp_path: Path) -> None:
    engine = open_database(sqlite_url(tmp_path / "voxloop.db"))
    found = inspect(engine)
    for table in METADATA.tables.values():
        assert {each["name"] for each in found.get_columns(table.name)} == set(table.columns.keys())
    names = {each["name"] for each in found.get_indexes("utterances")}
    assert {"ix_utterances_search", "ix_utterances_bundle_arrived_s", "ix_utterances_devices"} <= names
    engine.dispose()


def test_one_who_reads_before_it_writes_is_not_overtaken(tmp_path: Path) -> None:
    engine = open_database(sqlite_url(tmp_path / "voxloop.db"))
    fill(engine, many_records(1))
    with writing(engine) as connection:
        connection.execute(select(UTTERANCES.c.id)).all()
        other = sqlite3.connect(tmp_path / "voxloop.db", timeout=0.01)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE utterances SET outcome = 'clicked'")
        other.close()
        connection.execute(update(UTTERANCES).values(outcome="typed"))
    engine.dispose()


def test_what_hangs_on_an_utterance_goes_with_it(tmp_path: Path) -> None:
    engine = open_database(sqlite_url(tmp_path / "voxloop.db"))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    engine.dispose()


def test_nobody_else_on_the_machine_may_read_what_people_said(tmp_path: Path) -> None:
    engine = open_database(sqlite_url(tmp_path / "state" / "voxloop.db"))
    fill(engine, many_records(1))
    files = [tmp_path / "state", *(tmp_path / "state").iterdir()]
    assert len(files) == 4  # the log of changes and its index, too
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    engine.dispose()


def test_a_file_that_is_no_database_is_a_clear_error_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "voxloop.db"
    file.write_bytes(b"a letter to a friend, of more than a hundred bytes " * 4)
    with pytest.raises(ConfigError, match="cannot be opened: file is not a database"):
        open_database(sqlite_url(file))
    assert file.read_bytes().startswith(b"a letter")


def test_a_database_of_a_newer_voxloop_is_left_alone(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "voxloop.db")
    open_database(url).dispose()
    with sqlite3.connect(tmp_path / "voxloop.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="written by a newer voxloop"):
        open_database(url)


@pytest.mark.parametrize(
    "url", ["sqlite:////proc/none/voxloop.db", "nonsense", "oracle9://here", "postgresql+nothing://x"]
)
def test_a_database_that_cannot_be_had_is_a_clear_error(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_database(url)


def test_a_password_is_in_no_error() -> None:
    with pytest.raises(ConfigError) as told:
        open_database("postgresql+nothing://me:hush@here/x")
    assert "hush" not in str(told.value)
    with pytest.raises(ConfigError) as told:
        read_settings(StoreConfig, flags={"url": "postgresql://me:hush@here/x", "keep_days": -1})
    assert "hush" not in str(told.value)
    assert "hush" not in repr(StoreConfig(url="postgresql://me:hush@here/x"))


def test_a_folder_of_state_names_database_and_clips(tmp_path: Path) -> None:
    config = StoreConfig(state=tmp_path)
    assert config.database_url == f"sqlite:///{tmp_path}/voxloop.db"
    assert config.clips == f"{tmp_path}/clips"
    assert config.is_on
    elsewhere = StoreConfig(url="postgresql://here/x")
    assert (elsewhere.database_url, elsewhere.clips) == ("postgresql://here/x", None)
    assert not StoreConfig().is_on
