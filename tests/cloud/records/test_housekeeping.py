"""Housekeeping goes on whatever goes wrong in it, and ends when it is told to."""

import asyncio
import threading
import time

import pytest
from sqlalchemy import Engine, func, select
from structlog.testing import capture_logs

from voxloop_cloud.records import housekeeping
from voxloop_cloud.records.clip_key import day_of, device_digest
from voxloop_cloud.records.erasure import erase_device, erase_old
from voxloop_cloud.records.housekeeping import LOOK_BACK_S, Housekeeping
from voxloop_cloud.records.testing import NOON_S, fill, many_records
from voxloop_cloud.store.tables import UTTERANCES

PATIENCE_S = 20.0


async def until(told: list[str], count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(told) < count:
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "LOOK_S", 0.02)


def test_an_erasure_that_makes_a_listener_fail_does_not_end_it(engine: Engine) -> None:
    told: list[str] = []

    def fail(device: str) -> None:
        told.append(device)
        raise ValueError("of this test")

    async def run() -> None:
        keeper = asyncio.create_task(Housekeeping(engine, None, 90.0, fail, lambda: NOON_S).run())
        erase_device(engine, None, "kitchen", NOON_S)
        await until(told, 1)
        erase_device(engine, None, "attic", NOON_S + 1.0)
        await until(told, 2)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    with capture_logs() as logs:
        asyncio.run(run())
    assert told == [device_digest("kitchen"), device_digest("attic")]
    assert {log["event"] for log in logs} == {"housekeeping.crashed"}


def test_an_erasure_by_a_machine_whose_clock_is_behind_is_heard_of(engine: Engine) -> None:
    told: list[str] = []

    async def run() -> None:
        keeper = asyncio.create_task(Housekeeping(engine, None, 90.0, told.append, lambda: NOON_S).run())
        await asyncio.sleep(0.1)
        erase_device(engine, None, "kitchen", NOON_S - LOOK_BACK_S + 1.0)
        await until(told, 1)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    asyncio.run(run())
    assert told == [device_digest("kitchen")]


class Clips:
    """Says how often all clips were listed."""

    def __init__(self) -> None:
        self.days: list[str] = []

    def delete_before(self, day: str) -> int:
        self.days.append(day)
        return 0


def test_clips_are_looked_through_once_a_day_and_rows_each_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "FIRST_DELETION_S", 0.0)
    monkeypatch.setattr(housekeeping, "DELETION_S", 0.0)
    clips, times_s = Clips(), [NOON_S]

    async def run() -> None:
        keeper = asyncio.create_task(Housekeeping(engine, clips, 1.0, print, lambda: times_s[0]).run())  # type: ignore[arg-type]  # a fake
        await until(clips.days, 1)
        fill(engine, many_records(20, days=10.0))
        async with asyncio.timeout(PATIENCE_S):
            while await asyncio.to_thread(rows, engine) > 2:
                await asyncio.sleep(0.01)
        times_s[0] += 86_400.0
        await until(clips.days, 2)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    asyncio.run(run())
    assert clips.days == [day_of(NOON_S - 86_400.0), day_of(NOON_S)]


def rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(UTTERANCES)).scalar_one()


def test_a_deletion_ends_when_the_server_does(engine: Engine) -> None:
    fill(engine, many_records(3_000))
    stop = threading.Event()
    stop.set()
    begin_s = time.monotonic()
    assert 0 < erase_old(engine, None, 1.0, NOON_S + 100 * 86_400.0, stop).utterances < 3_000
    assert time.monotonic() - begin_s < PATIENCE_S
    assert rows(engine) > 0
