"""A database of the test's own: in a file, and on a PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from voxloop_cloud.store.database import open_database, sqlite_url


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(sqlite_url(tmp_path / "voxloop.db"))
    yield opened
    opened.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Either, in turn."""
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "voxloop.db")
    else:
        url = request.getfixturevalue("postgresql").new_database()
    opened = open_database(url)
    yield opened
    opened.dispose()
