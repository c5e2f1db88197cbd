"""A console over a database of the test's own, asked without a network."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from voxloop_cloud.console.app import make_app
from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.console.door import Door
from voxloop_cloud.console.meter import Meter
from voxloop_cloud.console.policy_office import PolicyOffice
from voxloop_cloud.console.sources import Sources
from voxloop_cloud.records.clip_store import open_clip_store
from voxloop_cloud.rollout.review_queue import ReviewQueue
from voxloop_cloud.store.database import open_database, sqlite_url

PASSWORD = "a long enough password"


class Browser:
    """A browser that keeps its cookie and fills in forms."""

    def __init__(self, sources: Sources) -> None:
        self.client = TestClient(make_app(sources), base_url="http://127.0.0.1", follow_redirects=False)
        self.csrf = ""

    def sign_in(self, name: str = "ada", secret: str = PASSWORD) -> int:
        answer = self.client.post("/sign-in", data={"name": name, "secret": secret})
        if answer.status_code == 303:
            found = re.search(r'name="csrf" value="([^"]+)"', self.get("/utterances"))
            assert found is not None
            self.csrf = found[1]
        return answer.status_code

    def get(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(self, path: str, status: int = 303, **fields: str) -> str:
        answer = self.client.post(path, data={"csrf": self.csrf, **fields})
        assert answer.status_code == status, answer.text
        return answer.headers["location"] if status == 303 else answer.text


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(sqlite_url(tmp_path / "voxloop.db"))
    yield opened
    opened.dispose()


@pytest.fixture
def config(tmp_path: Path) -> ConsoleConfig:
    (tmp_path / "password").write_text(PASSWORD)
    return ConsoleConfig.model_validate({"store": {"state": tmp_path}, "password": tmp_path / "password"})


@pytest.fixture
def sources(engine: Engine, config: ConsoleConfig, tmp_path: Path) -> Sources:
    return Sources(
        config=config,
        engine=engine,
        clips=open_clip_store(str(tmp_path / "clips")),
        door=Door(config),
        meter=Meter(None, 5.0, time.time),
        policies=PolicyOffice(engine),
        reviews=ReviewQueue(engine, 100),
    )


@pytest.fixture
def stranger(sources: Sources) -> Browser:
    return Browser(sources)


@pytest.fixture
def browser(sources: Sources) -> Browser:
    found = Browser(sources)
    assert found.sign_in() == 303
    return found
