"""Opens the database: a file of SQLite by default, PostgreSQL by URL. Brings its tables up to date."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from voxloop_cloud.store.store_config import sqlite_url
from voxloop_proto.errors import ConfigError

__all__ = ["open_database", "sqlite_url", "writing"]

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATION_LOCK: Final = 0x766F786C
"""PostgreSQL's name for the lock that one process at a time changes the tables under."""

_BUSY_MS: Final = 5_000
"""How long a writer waits for another process's transaction."""

_BEGIN: Final = "voxloop_begin"


def open_database(url: str) -> Engine:
    """A database whose tables are those of tables.py; made if it is not there. Any number of processes may open it.

    Raises ConfigError if it cannot be opened, or was written by a newer voxloop.
    """
    try:
        engine = _connected(url)
        with writing(engine) as connection:
            _upgrade(connection)
    except (ArgumentError, NoSuchModuleError, DBAPIError, ImportError, OSError) as error:
        raise ConfigError(
            f"the database {_without_password(url)} cannot be opened: {_reason(error)}; name a folder that can be "
            "written with --state DIR, or a database with store.url"
        ) from error
    except CommandError as error:
        raise ConfigError(
            f"the database {_without_password(url)} was written by a newer voxloop ({error}); update this one"
        ) from error
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads before it writes, and that no other may come between.

    SQLite's own begin as readers, and fail at their first write if another has written since; these begin as writers.
    """
    with engine.connect().execution_options(**{_BEGIN: "IMMEDIATE"}) as connection, connection.begin():
        yield connection


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    settings = Config()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def _connected(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # else the driver begins where it likes, and never before a change of a table
    for pragma in (
        f"busy_timeout = {_BUSY_MS}",  # first: the next one may have to wait
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(_BEGIN, 'DEFERRED')}")


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(no URL)"


def _reason(error: Exception) -> str:
    return (str(error.orig if isinstance(error, DBAPIError) else error).splitlines() or [type(error).__name__])[0]
