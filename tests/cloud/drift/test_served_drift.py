"""Drift through the server: it watches by itself where there is a store, and the command shows what it found."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.cloud.drift.stored_week import drifts_in, fill
from typer.testing import CliRunner

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.commands.drift import drift
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.watch import week_of
from voxloop_cloud.drift.week import WEEK_S
from voxloop_cloud.engine import EngineConfig
from voxloop_cloud.server import ServerConfig, open_server
from voxloop_cloud.store.database import open_database
from voxloop_cloud.store.store_config import DATABASE_FILE, StoreConfig, sqlite_url
from voxloop_proto.errors import ConfigError


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def database(state: Path) -> Iterator[Engine]:
    engine = open_database(sqlite_url(state / DATABASE_FILE))
    yield engine
    engine.dispose()


def noisier(row: dict[str, Any]) -> None:
    row["snr_db"] -= 15.0


def with_a_change(database: Engine) -> None:
    """Last week, and this one, in which it is noisier from its second half on."""
    now_s = time.time()
    start_s = week_of(now_s)
    fill(database, 1_500, start_s - WEEK_S, start_s, seed=21)
    fill(database, 300, start_s, (start_s + now_s) / 2, seed=22)
    fill(database, 400, (start_s + now_s) / 2, now_s, seed=23, change=noisier)


def test_a_server_with_a_store_finds_what_changed(database: Engine, state: Path, bundle: Bundle) -> None:
    with_a_change(database)
    config = ServerConfig(
        listen="127.0.0.1:0",
        insecure=True,
        drain_ms=0,
        engine=EngineConfig(bundle=str(bundle.path)),
        store=StoreConfig(state=state),
        drift=DriftConfig(settle_s=0, poll_s=0.1),
    )

    async def serve_until_found() -> None:
        async with open_server(config), asyncio.timeout(60):
            while not drifts_in(database):
                await asyncio.sleep(0.05)

    asyncio.run(serve_until_found())
    first = drifts_in(database)[0]
    assert (first["metric"], first["slice"]) == ("snr_db", "all")
    shown = CliRunner().invoke(drift, ["report", "--state", str(state)])
    assert shown.exit_code == 0
    assert "snr_db fell against last week" in shown.stdout
    assert "capture moved first" in shown.stdout
    as_json = CliRunner().invoke(drift, ["report", "--state", str(state), "--json"])
    assert json.loads(as_json.stdout.splitlines()[-1])["metric"] == "snr_db"


def test_status_shows_what_is_near_an_alarm_and_what_is_unlike_training(
    database: Engine, state: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    def set_otherwise(row: dict[str, Any]) -> None:
        row["bundle"] = f"{bundle.config.name}@{bundle.config.version}"
        row["padding_after_ms"] = 900.0
        noisier(row)

    with_a_change(database)
    fill(database, 100, time.time() - 60, time.time(), seed=24, change=set_otherwise)
    shown = CliRunner().invoke(drift, ["status", "--state", str(state), "--bundle", str(bundle.path)])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert "compared with 1500" in lines[0]
    assert lines[2].split()[0] in ("snr_db", "padding")
    assert "padding after speech is 900 ms" in shown.stdout
    assert not drifts_in(database)


def test_before_there_is_enough_the_status_says_what_is_missing(database: Engine, state: Path, bundle: Bundle) -> None:
    shown = CliRunner().invoke(drift, ["status", "--state", str(state), "--bundle", str(bundle.path)])
    assert "nothing to compare with: last week or this one must have 400" in shown.stdout
    assert "no drift" in CliRunner().invoke(drift, ["report", "--state", str(state)]).stdout


@pytest.mark.parametrize("arguments", [[], ["--state", "no-such-folder"]])
def test_a_store_that_is_not_there_is_an_error_that_says_what_to_name(arguments: list[str]) -> None:
    result = CliRunner().invoke(drift, ["report", *arguments])
    assert isinstance(result.exception, ConfigError)
    assert "--state" in result.exception.message
