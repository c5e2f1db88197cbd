"""A tiny bundle and its recognizer, made once."""

from pathlib import Path

import pytest

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.testing import tiny_bundle


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
