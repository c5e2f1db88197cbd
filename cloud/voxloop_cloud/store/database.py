"""Opens the database: a file of SQLite by default, PostgreSQL by URL. Brings its tables up to date."""

import sqlite3
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from voxloop_proto.errors import ConfigError

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_BUSY_MS: Final = 5_000
"""How long a writer waits for another process's transaction."""


def sqlite_url(file: Path) -> str:
    """The URL of a database in a file."""
    return f"sqlite:///{file}"


def open_database(url: str) -> Engine:
    """A database whose tables are those of tables.py; made if it is not there. Any number of processes may have it open.

    Raises ConfigError if it cannot be opened, or was written by a newer voxloop.
    """
    try:
        engine = _connected(url)
        with engine.begin() as connection:
            settings = Config()
            settings.set_main_option("script_location", str(_MIGRATIONS))
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
    except (ArgumentError, NoSuchModuleError, DBAPIError, ImportError) as error:
        raise ConfigError(f"the database {_without_password(url)} cannot be opened: {_reason(error)}") from error
    except command.util.CommandError as error:
        raise ConfigError(
            f"the database {_without_password(url)} was written by a newer voxloop ({error}); update this one"
        ) from error
    return engine


def _connected(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", f"busy_timeout = {_BUSY_MS}", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(no URL)"


def _reason(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error).splitlines()[0]
