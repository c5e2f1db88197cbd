"""Writing records: once each, and none of a device that was erased meanwhile."""

import sqlite3
from dataclasses import replace

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import DataError, OperationalError

from voxloop_cloud.records.erasure import erase_device
from voxloop_cloud.records.feedback import Feedback, file_feedback
from voxloop_cloud.records.record_store import write_records
from voxloop_cloud.records.redo_watch import Redo
from voxloop_cloud.records.testing import NOON_S, some_heard, some_hello
from voxloop_cloud.records.utterance import UtteranceRecord, make_record
from voxloop_cloud.store.tables import UTTERANCES
from voxloop_proto.v1 import voxloop_pb2 as pb

OVERLOAD = pb.Failure(segment_id=1, code=pb.FAILURE_CODE_UNAVAILABLE, message="shutting down", retryable=True)
HELLO = some_hello(keep_text=True)


def stored(engine: Engine, column: str = "text") -> list[object]:
    with engine.connect() as connection:
        return list(connection.scalars(select(UTTERANCES.c[column]).order_by(UTTERANCES.c.id)))


def record(text: str, segment_id: int = 1, **changes: object) -> UtteranceRecord:
    return replace(make_record(some_heard(HELLO, segment_id, text)), **changes)  # type: ignore[arg-type]


def test_a_record_comes_out_as_it_went_in(engine: Engine) -> None:
    before = record("play it")
    write_records(engine, [before])
    with engine.connect() as connection:
        row = connection.execute(select(UTTERANCES)).mappings().one()
    found = {**row, "timings": {stage: tuple(times) for stage, times in row["timings"].items()}}
    assert {name: value for name, value in found.items() if name != "id"} == before.to_row()


def test_the_first_answer_stands(engine: Engine) -> None:
    write_records(engine, [record("first")])
    write_records(engine, [record("second"), record("other", segment_id=2)])
    write_records(engine, [make_record(some_heard(HELLO, failure=OVERLOAD))])
    assert stored(engine) == ["first", "other"]


def test_the_answer_to_a_second_sending_takes_the_place_of_a_failure(engine: Engine) -> None:
    write_records(engine, [make_record(some_heard(HELLO, failure=OVERLOAD))])
    assert stored(engine, "failure") == ["unavailable"]
    file_feedback(engine, Feedback("kitchen", "s1", 1, "clicked"))
    write_records(engine, [record("now it worked")])
    assert (stored(engine), stored(engine, "failure"), stored(engine, "outcome")) == (
        *(["now it worked"], [None]),
        ["clicked"],
    )


def test_another_device_does_not_take_the_place_of_a_failure(engine: Engine) -> None:
    write_records(engine, [make_record(some_heard(HELLO, failure=OVERLOAD))])
    write_records(engine, [record("mine", device_id="attic")])
    assert stored(engine, "device_id") == ["kitchen"]


def test_a_batch_is_written_as_a_whole_or_not_at_all(engine: Engine) -> None:
    with pytest.raises((OverflowError, DataError)):
        write_records(engine, [record("fine"), replace(record("odd", segment_id=2), segment_id=1 << 70)])
    assert stored(engine) == []


def test_a_redo_is_filed_with_the_utterance_that_was_said_again(engine: Engine) -> None:
    first, second = record("lights"), record("lights", segment_id=2)
    write_records(engine, [first, second], [Redo(first, 0.9)])
    assert stored(engine, "redo_probability") == [0.9, None]


def test_what_arrived_before_its_device_was_erased_is_not_written_any_more(engine: Engine) -> None:
    write_records(engine, [record("before")])
    assert erase_device(engine, None, "kitchen", NOON_S + 1).utterances == 1
    late, other = record("late", segment_id=2), record("other", device_id="attic", session_id="s2")
    new = record("new", segment_id=3, arrived_s=NOON_S + 2)
    assert write_records(engine, [late, other, new]) == [late]
    assert stored(engine) == ["other", "new"]


def test_a_locked_database_is_one_that_may_do_it_later(sqlite: Engine) -> None:
    """What the writer counts on: the error, and that nothing of the batch was written."""
    assert sqlite.url.database is not None
    with sqlite.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(sqlite.url.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="database is locked"):
        write_records(sqlite, [record("first")])
    other.execute("ROLLBACK")
    other.close()
    write_records(sqlite, [record("first")])
    assert stored(sqlite) == ["first"]


def test_a_full_disk_is_one_that_may_have_room_later(sqlite: Engine) -> None:
    with sqlite.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    many = [record("x" * 5_000, segment_id=number) for number in range(1, 50)]
    with pytest.raises(OperationalError, match="full"):
        write_records(sqlite, many)
    with sqlite.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    write_records(sqlite, many)
    assert len(stored(sqlite)) == 49
