"""A database in a file of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from voxloop_cloud.store.database import open_database, sqlite_url


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(sqlite_url(tmp_path / "voxloop.db"))
    yield opened
    opened.dispose()
