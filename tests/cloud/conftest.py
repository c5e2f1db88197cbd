"""A tiny bundle and its recognizer, made once; a real bundle, if there is one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voxloop_cloud.bundle import Bundle, default_bundle_path, load_bundle
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.testing import tiny_bundle

if TYPE_CHECKING:
    from tests.cloud.store.postgresql import PostgreSql


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Never written to; tests that break one make their own."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def recognizer(bundle: Bundle) -> Recognizer:
    return Recognizer(bundle)


@pytest.fixture
def own_bundle(tmp_path: Path) -> Bundle:
    """One to break."""
    return tiny_bundle(tmp_path / "own")


@pytest.fixture(scope="session")
def real_bundle() -> Bundle:
    """The bundle that VOXLOOP_BUNDLE names, or the default one."""
    return load_bundle(Path(os.environ.get("VOXLOOP_BUNDLE") or default_bundle_path()))


@pytest.fixture(scope="session")
def postgresql() -> "Iterator[PostgreSql]":
    """A server of this test run's own; tests of it are skipped where PostgreSQL is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed; scripts/setup dev installs it")
    from tests.cloud.store.postgresql import programs, running

    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL here; scripts/setup dev installs it")
    with running(folder) as server:
        yield server
