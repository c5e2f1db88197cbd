"""The writer: nobody waits for it, and what fits in its bound is not lost, whatever the database does."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from structlog.testing import capture_logs

from voxloop_cloud.records.entry import Entry
from voxloop_cloud.records.heard import Heard
from voxloop_cloud.records.testing import some_heard, some_hello
from voxloop_cloud.records.utterance import make_record
from voxloop_cloud.records.writer import RecordWriter

LOCKED = OperationalError("INSERT", {"text": "a secret"}, Exception("database is locked"))
DAMAGED = DatabaseError("INSERT", {"text": "a secret"}, Exception("database disk image is malformed"))
REFUSED = IntegrityError("INSERT", {"text": "a secret"}, Exception("not unique"))
PATIENCE_S = 20.0


class Table:
    """What was written; fails when it is told to."""

    def __init__(self) -> None:
        self.segments: list[int] = []
        self.batches: list[int] = []
        self.fails: Callable[[Sequence[Entry]], Exception | None] = lambda _: None

    def write(self, entries: Sequence[Entry]) -> None:
        if (error := self.fails(entries)) is not None:
            raise error
        self.segments += [entry.record.segment_id for entry in entries]
        self.batches.append(len(entries))


def prepare(some: Sequence[Heard]) -> list[Entry]:
    return [Entry(make_record(heard), None) for heard in some]


@contextmanager
def writing(table: Table, max_queued: int = 1_000, max_sound_s: float = 60.0) -> Iterator[RecordWriter]:
    writer = RecordWriter(prepare, table.write, max_queued, max_sound_s)
    writer.start()
    try:
        yield writer
    finally:
        writer.close(timeout_s=1.0)


HELLO = some_hello()


def heard(number: int) -> Heard:
    return some_heard(HELLO, number)


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.01)


def test_all_is_written_in_order_and_in_batches() -> None:
    table = Table()
    with writing(table) as writer:
        for number in range(1, 251):
            assert writer.put(heard(number))
        assert writer.flush(PATIENCE_S)
        assert table.segments == list(range(1, 251))
        assert len(table.batches) <= 4
        assert writer.counts.written == 250
        assert writer.counts.waiting == 0


def test_what_is_queued_is_written_on_close() -> None:
    table = Table()
    with writing(table) as writer:
        for number in range(1, 31):
            writer.put(heard(number))
    assert table.segments == list(range(1, 31))
    assert not writer.put(heard(31))


def test_nobody_waits_for_a_database_that_does_not_answer_and_what_is_dropped_is_counted() -> None:
    table, answer = Table(), threading.Event()

    def hang(_: Sequence[Entry]) -> None:
        answer.wait(PATIENCE_S)

    table.fails = hang
    with writing(table, max_queued=10) as writer:
        taken = [writer.put(heard(number)) for number in range(1, 16)]
        assert taken == [True] * 10 + [False] * 5
        assert (writer.counts.waiting, writer.counts.dropped) == (10, 5)
        answer.set()
        assert writer.flush(PATIENCE_S)
        assert table.segments == list(range(1, 11))


@pytest.mark.parametrize("error", [LOCKED, DAMAGED])
def test_a_database_that_fails_for_a_while_loses_nothing_and_is_told_once(error: Exception) -> None:
    table = Table()
    table.fails = lambda _: error
    with capture_logs() as logs, writing(table) as writer:
        for number in range(1, 4):
            writer.put(heard(number))
        until(lambda: len(logs) > 0)
        for number in range(4, 7):
            writer.put(heard(number))
        assert not writer.flush(1.0)
        table.fails = lambda _: None
        assert writer.flush(PATIENCE_S)
    assert table.segments == list(range(1, 7))
    assert [log["event"] for log in logs] == ["records.not_written", "records.written_again"]
    assert writer.counts.lost == 0
    assert "secret" not in str(logs)


def test_a_record_that_the_database_refuses_is_left_out_alone() -> None:
    table = Table()
    table.fails = lambda entries: REFUSED if any(entry.record.segment_id == 5 for entry in entries) else None
    with capture_logs() as logs, writing(table) as writer:
        for number in range(1, 11):
            writer.put(heard(number))
        assert writer.flush(PATIENCE_S)
        assert sorted(table.segments) == [1, 2, 3, 4, 6, 7, 8, 9, 10]
        assert (writer.counts.written, writer.counts.lost) == (9, 1)
    assert [(log["event"], log["segment"]) for log in logs] == [("record.refused", 5)]
    assert "secret" not in str(logs)


def test_what_a_database_never_took_is_counted_as_lost_at_the_end() -> None:
    table = Table()
    table.fails = lambda _: LOCKED
    with capture_logs() as logs, writing(table) as writer:
        writer.put(heard(1))
        writer.put(heard(2))
    assert writer.counts.lost == 2
    assert logs[-1]["event"] == "records.lost"


def test_sound_beyond_its_bound_is_let_go_and_the_record_is_kept() -> None:
    table, keeps = Table(), some_hello(keep_audio=True)
    sounds: list[bool] = []

    def note(some: Sequence[Heard]) -> list[Entry]:
        sounds.extend(bool(heard.sound) for heard in some)
        return prepare(some)

    writer = RecordWriter(note, table.write, max_queued=10, max_sound_s=4.0)
    for number in range(1, 5):
        assert writer.put(some_heard(keeps, number, duration_s=1.5))
    writer.start()
    writer.close(PATIENCE_S)
    assert sounds == [True, True, False, False]
    assert (writer.counts.written, writer.counts.unkept_sounds) == (4, 2)


@pytest.mark.parametrize("left_out", [0, 1, 3])
def test_one_that_could_not_be_prepared_holds_nobody_up(left_out: int) -> None:
    table = Table()
    writer = RecordWriter(lambda some: prepare(some)[left_out:], table.write)
    for number in range(1, 4):
        writer.put(heard(number))
    writer.start()
    assert writer.flush(PATIENCE_S)
    writer.close()
    assert (writer.counts.written, writer.counts.lost, writer.counts.waiting) == (3 - left_out, left_out, 0)
