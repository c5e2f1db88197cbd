"""A database of one's own, and what is in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from voxloop_cloud.store.database import open_database, sqlite_url


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(sqlite_url(tmp_path / "state" / "voxloop.db"))
    yield engine
    engine.dispose()
