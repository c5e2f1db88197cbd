"""The watch: finds in the store what changed, once, whichever of a server's processes looks, and after a restart."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, update
from tests.cloud.drift.stored_week import WEEK_START_S, count_in, drifts_in, fill, label_all

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.training_reference import TrainingReference
from voxloop_cloud.drift.watch import DriftWatch, week_of
from voxloop_cloud.drift.week import WEEK_S, WatchedWeek
from voxloop_cloud.store.database import open_database
from voxloop_cloud.store.store_config import sqlite_url
from voxloop_cloud.store.tables import UTTERANCES

NO_REFERENCE = TrainingReference({})
NOW_S = WEEK_START_S + 3 * 86_400.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(sqlite_url(tmp_path / "voxloop.db"))
    yield engine
    engine.dispose()


def quieter(row: dict[str, Any]) -> None:
    row["raw_level_dbfs"] -= 12.0
    row["applied_gain_db"] += 12.0


def watch_at(database: Engine, bundle: Bundle, now_s: float = NOW_S, **settings: Any) -> DriftWatch:
    return DriftWatch(database, bundle, DriftConfig(**settings), lambda: now_s)


def with_a_change(database: Engine) -> None:
    """Last week, three days of this week as before, then a microphone that is quieter."""
    fill(database, 1_500, WEEK_START_S - WEEK_S, WEEK_START_S, seed=1)
    fill(database, 600, WEEK_START_S, NOW_S - 7_200, seed=2)
    fill(database, 500, NOW_S - 7_200, NOW_S - 120, seed=3, change=quieter)


def levels_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["against"] == "last week"]


def test_a_change_is_written_down_with_the_stage_that_moved_first(database: Engine, bundle: Bundle) -> None:
    with_a_change(database)
    found = watch_at(database, bundle).look()
    rows = drifts_in(database)
    assert len(found) == len(rows)
    first = levels_of(rows)[0]
    assert (first["metric"], first["stage"], first["slice"]) == ("raw_level_dbfs", "capture", "all")
    assert first["found_s"] == NOW_S
    assert first["effect"] > 1
    assert first["report"]["blame"]["stage"] == "capture"
    assert "capture moved first" in first["report"]["sentence"]


def test_a_week_like_the_last_raises_nothing(database: Engine, bundle: Bundle) -> None:
    fill(database, 1_500, WEEK_START_S - WEEK_S, WEEK_START_S, seed=4)
    fill(database, 1_500, WEEK_START_S, NOW_S, seed=5)
    watch_at(database, bundle).look()
    assert levels_of(drifts_in(database)) == []


def test_after_a_restart_the_same_is_known_and_nothing_is_told_twice(database: Engine, bundle: Bundle) -> None:
    with_a_change(database)
    first = watch_at(database, bundle)
    told = first.look()
    first._lease.release()
    again = watch_at(database, bundle, now_s=NOW_S + 60)
    assert told
    assert again.look() == []
    assert len(drifts_in(database)) == len(told)


def test_utterances_that_come_bit_by_bit_give_what_they_give_at_once(database: Engine) -> None:
    with_a_change(database)
    bit_by_bit = WatchedWeek(database, DriftConfig(), NO_REFERENCE, WEEK_START_S)
    steps = [drift for hour in range(73) for drift in bit_by_bit.advance(WEEK_START_S + hour * 3_600.0)]
    at_once = WatchedWeek(database, DriftConfig(), NO_REFERENCE, WEEK_START_S).advance(NOW_S)
    assert steps == at_once != []


def test_only_one_process_looks(database: Engine, bundle: Bundle) -> None:
    with_a_change(database)
    one, other = watch_at(database, bundle), watch_at(database, bundle)
    assert one.look()
    assert other.look() == []


def test_without_last_week_the_first_utterances_are_compared_with(database: Engine) -> None:
    fill(database, 900, WEEK_START_S, NOW_S - 7_200, seed=6)
    fill(database, 400, NOW_S - 7_200, NOW_S, seed=7, change=quieter)
    week = WatchedWeek(database, DriftConfig(), NO_REFERENCE, WEEK_START_S)
    found = week.advance(NOW_S)
    assert found[0].blame is not None
    assert found[0].blame.stage == "capture"
    assert week.status().compared_with == DriftConfig().least_utterances


def test_the_first_utterances_are_those_of_a_day_at_least(database: Engine) -> None:
    fill(database, 900, WEEK_START_S, WEEK_START_S + 36 * 3_600, seed=17)
    week = WatchedWeek(database, DriftConfig(), NO_REFERENCE, WEEK_START_S)
    week.advance(WEEK_START_S + 23 * 3_600)
    assert week.status().compared_with == 0
    week.advance(NOW_S)
    assert week.status().compared_with == 601


def test_a_new_week_is_compared_with_the_one_that_ended(database: Engine, bundle: Bundle) -> None:
    with_a_change(database)
    fill(database, 1_000, NOW_S, WEEK_START_S + WEEK_S, seed=8, change=quieter)
    fill(database, 600, WEEK_START_S + WEEK_S, WEEK_START_S + WEEK_S + 86_400, seed=9, change=quieter)
    moment = [NOW_S]
    watch = DriftWatch(database, bundle, DriftConfig(), lambda: moment[0])
    watch.look()
    known = len(levels_of(drifts_in(database)))
    moment[0] = WEEK_START_S + WEEK_S + 86_400
    watch.look()
    assert watch._week is not None
    assert watch._week.start_s == WEEK_START_S + WEEK_S
    assert watch._week.status().compared_with == 2_100
    later = levels_of(drifts_in(database))[known:]
    assert all(row["found_s"] == moment[0] for row in later)


def test_of_many_utterances_a_sample_is_looked_at(database: Engine) -> None:
    fill(database, 3_000, WEEK_START_S - WEEK_S, WEEK_START_S, seed=10)
    fill(database, 1_000, WEEK_START_S, NOW_S, seed=11)
    week = WatchedWeek(database, DriftConfig(most_utterances=1_000), NO_REFERENCE, WEEK_START_S)
    week.advance(NOW_S)
    assert week.status().compared_with == 1_000
    assert abs(week.status().utterances - 1_000 / 3) <= 1


def test_what_users_do_with_a_text_is_waited_for(database: Engine, bundle: Bundle) -> None:
    fill(database, 500, NOW_S - 3_600, NOW_S, seed=12)
    watch = watch_at(database, bundle, settle_s=1_800.0)
    watch.look()
    assert watch._week is not None
    assert abs(watch._week.status().utterances - 250) <= 1


def test_labels_that_say_otherwise_are_concept_drift(database: Engine) -> None:
    fill(database, 300, WEEK_START_S - WEEK_S, WEEK_START_S, seed=13)
    fill(database, 300, WEEK_START_S, NOW_S, seed=14)
    middle = count_in(database) - 150
    label_all(database, lambda each: "turn the light on" if each < middle or each % 7 == 0 else "play some jazz now")
    week = WatchedWeek(database, DriftConfig(), NO_REFERENCE, WEEK_START_S)
    found = [drift for drift in week.advance(NOW_S) if drift.metric == "word_error_rate"]
    assert found[0].is_greater
    assert found[0].stage == "decoder"


def test_utterances_that_are_erased_meanwhile_do_no_harm(database: Engine, bundle: Bundle) -> None:
    with_a_change(database)
    watch = watch_at(database, bundle)
    watch.look()
    with database.begin() as connection:
        connection.execute(delete(UTTERANCES))
    assert watch.look() == []


def test_a_database_that_is_away_is_waited_for(
    database: Engine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_change(database)
    watch = watch_at(database, bundle, poll_s=0.1)
    monkeypatch.setattr("voxloop_cloud.drift.watch.write_drifts", lambda *_: (_ for _ in ()).throw(_away()))

    async def run_for_a_while() -> None:
        task = asyncio.create_task(watch.run())
        while watch._week is None and not task.done():
            await asyncio.sleep(0.01)
        monkeypatch.undo()
        while not drifts_in(database):
            assert not task.done()
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(run_for_a_while(), 30))
    assert levels_of(drifts_in(database))


def _away() -> Exception:
    from sqlalchemy.exc import OperationalError

    return OperationalError("insert", {}, Exception("database is locked"))


def test_failed_segments_are_the_uplinks(database: Engine) -> None:
    fill(database, 1_000, WEEK_START_S - WEEK_S, WEEK_START_S, seed=15)
    fill(database, 600, WEEK_START_S, NOW_S, seed=16)
    with database.begin() as connection:
        broken = update(UTTERANCES).where(UTTERANCES.c.arrived_s > WEEK_START_S + 86_400, UTTERANCES.c.id % 2 == 0)
        connection.execute(broken.values(failure="contract"))
    found = WatchedWeek(database, DriftConfig(), NO_REFERENCE, WEEK_START_S).advance(NOW_S)
    assert found[0].blame is not None
    assert (found[0].metric, found[0].blame.stage) == ("is_failed", "uplink")


def test_weeks_begin_where_the_calendar_of_1970_has_them() -> None:
    assert week_of(WEEK_START_S) == WEEK_START_S
    assert week_of(WEEK_START_S - 1) == WEEK_START_S - WEEK_S
