"""The migrations make the tables that tables.py says, column by column, in both databases; and are frozen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, Index, Integer, MetaData, Table

from voxloop_cloud.store import database
from voxloop_cloud.store.database import open_database, sqlite_url
from voxloop_cloud.store.tables import METADATA

OF_THE_OTHER = {"sqlite": "ix_utterances_time", "postgresql": "ix_utterances_search"}


@pytest.fixture(params=list(OF_THE_OTHER))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "voxloop.db")
    else:
        url = request.getfixturevalue("postgresql").new_database(empty=True)
    opened = open_database(url)
    yield opened
    opened.dispose()


def differences(engine: Engine, metadata: MetaData) -> list[Any]:
    """What a new migration would have to do."""
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_object": lambda _object, name, *_: name != OF_THE_OTHER[engine.dialect.name],
    }
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def test_they_yield_the_tables_and_nothing_else(engine: Engine) -> None:
    assert differences(engine, METADATA) == []


def test_a_change_of_a_table_without_a_migration_is_seen(engine: Engine) -> None:
    changed = MetaData(naming_convention=METADATA.naming_convention)
    for table in METADATA.tables.values():
        table.to_metadata(changed)
    changed.tables["labels"].append_column(Column("lasted_s", Integer))
    Index("ix_tags_author", changed.tables["tags"].c.author)
    Table("more", changed, Column("id", Integer, primary_key=True))
    assert {found[0] for found in differences(engine, changed)} == {"add_column", "add_index", "add_table"}


def test_no_migration_depends_on_the_tables_of_today() -> None:
    files = sorted((Path(database.__file__).parent / "migrations" / "versions").glob("*.py"))
    assert files
    assert [file.name for file in files if "voxloop" in file.read_text(encoding="utf-8")] == []
