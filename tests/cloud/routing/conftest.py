"""Bundles of this machine for routing: each tiny, each with a text of its own, in a store of their own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from voxloop_cloud.bundle import AUDIT_FILE, STORE_VARIABLE, write_checksums
from voxloop_cloud.store.database import open_database, sqlite_url
from voxloop_cloud.testing import tiny_bundle

FIRST, SECOND, UNAUDITED = "tiny@1", "tiny@2", "raw@1"


def _audited(path: Path) -> None:
    (path / AUDIT_FILE).write_text(json.dumps({"passed": True}), encoding="utf-8")
    write_checksums(path)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of bundles; never written to."""
    folder = tmp_path_factory.mktemp("store")
    for seed, key in enumerate((FIRST, SECOND, UNAUDITED)):
        name, _, version = key.partition("@")
        path = tiny_bundle(folder / key.replace("@", "-"), seed, name=name, version=version).path
        if key != UNAUDITED:
            _audited(path)
    return folder


@pytest.fixture(autouse=True)
def store_of_bundles(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORE_VARIABLE, str(shelf))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlalchemy.Engine]:
    engine = open_database(sqlite_url(tmp_path / "voxloop.db"))
    yield engine
    engine.dispose()
