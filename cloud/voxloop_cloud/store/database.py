"""Opens the database: a file of SQLite by default, PostgreSQL by URL. Brings its tables up to date."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from voxloop_cloud.store.store_config import sqlite_url
from voxloop_proto.errors import ConfigError

__all__ = ["open_database", "scrub", "sqlite_url", "writing"]

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_WRITERS: Final = 0x766F786C
"""PostgreSQL's name for the lock of who writes."""

_BUSY_MS: Final = 5_000
"""How long a writer waits for another process's transaction."""

_CONNECT_S: Final = 5
_POSTGRESQL_TIMES_MS: Final = {"lock_timeout": _BUSY_MS, "idle_in_transaction_session_timeout": 30_000}
"""Else one server that is cut off in the middle of a transaction keeps all others from writing for hours."""

_SILENCE_MS: Final = 10_000
"""How long PostgreSQL's machine may take nothing of what is sent to it; beyond it the connection is given up."""

_OWNERS_FOLDER: Final = 0o700
_OWNERS_FILE: Final = 0o600
_BEGIN: Final = "voxloop_begin"


def open_database(url: str) -> Engine:
    """A database whose tables are those of tables.py; made if it is not there. Any number of processes may open it.

    Raises ConfigError if it cannot be opened, or was written by a newer voxloop.
    """
    try:
        engine = _connected(url)
        try:
            with writing(engine) as connection:
                _upgrade(connection)
        except BaseException:
            engine.dispose()
            raise
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
def writing(engine: Engine, *, appends: bool = False) -> Iterator[Connection]:
    """A transaction that reads before it writes, and that no other one of these may come between.

    SQLite's own begin as readers, and fail at their first write if another has written since; these begin as writers.
    PostgreSQL's see what others commit meanwhile; these take a lock, which those that only append share (appends).
    """
    with engine.connect().execution_options(**{_BEGIN: "IMMEDIATE"}) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            take = "pg_advisory_xact_lock_shared" if appends else "pg_advisory_xact_lock"
            connection.execute(text(f"SELECT {take}(:lock)"), {"lock": _WRITERS})
        yield connection


def scrub(engine: Engine) -> None:
    """Lets nothing of what was deleted stay in SQLite's log of changes, unless somebody reads from it just now.

    In the file itself it is overwritten when it is deleted. PostgreSQL does both in its own time (VACUUM).
    """
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def _upgrade(connection: Connection) -> None:
    settings = Config()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def _connected(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return _sqlite(address)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername != "postgresql+psycopg":
        return create_engine(address, pool_pre_ping=True)
    patience = {"connect_timeout": _CONNECT_S, "tcp_user_timeout": _SILENCE_MS}
    patience = {name: value for name, value in patience.items() if name not in address.query}
    engine = create_engine(address, pool_pre_ping=True, connect_args=patience)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _sqlite(address: URL) -> Engine:
    if address.database and not address.database.startswith((":", "file:")):
        file = Path(address.database)
        file.parent.mkdir(_OWNERS_FOLDER, parents=True, exist_ok=True)
        if not file.exists():
            file.touch(_OWNERS_FILE)  # what people said; SQLite gives its other files the same mode
    engine = create_engine(address)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        for setting, time_ms in _POSTGRESQL_TIMES_MS.items():
            cursor.execute(f"SET {setting} = {time_ms}")
    connection.commit()


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # else the driver begins where it likes, and never before a change of a table
    for pragma in (
        f"busy_timeout = {_BUSY_MS}",  # first: the next one may have to wait
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what is erased is zeros in the file, not words in a page that is free
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
