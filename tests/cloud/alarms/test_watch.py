"""The shell: what it reads, keeps and tells; and that one process of several evaluates."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, select
from structlog.testing import capture_logs
from tests.cloud.metrics.heard_segments import heard

from voxloop_cloud.alarms.journal import AlarmJournal
from voxloop_cloud.alarms.past_alarms import past_alarms
from voxloop_cloud.alarms.threshold_log import BY_HAND, change_threshold, threshold_changes
from voxloop_cloud.alarms.turn import Turn
from voxloop_cloud.alarms.watch import AlarmWatch
from voxloop_cloud.alarms.watched_rules import WatchedRules
from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.store.database import open_database, sqlite_url
from voxloop_cloud.store.tables import ALARM_STATES, ALARMS, METADATA

RULES = """
[rules.too_many]
stage = "server"
metric = "voxloop_server_open_sessions"
aggregation = "max"
window_s = 10
comparison = "above"
threshold = 10
resolves_at = 5
severity = "page"
missing = "hold"
meaning = "Too many."
action = "Fewer."
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(sqlite_url(tmp_path / "test.db"))
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return file


@pytest.fixture(autouse=True)
def turn() -> Iterator[None]:
    with closing(Turn()) as Server.turn:
        yield


class Server:
    """What a watch sees of one: its figures, at times of the test's own."""

    turn: Turn  # of the test's process

    def __init__(self, rules: Path, store: Engine, instance: str = "here") -> None:
        self.figures = Figures(CollectorRegistry())
        read = self.figures.registry.collect
        self.watch = AlarmWatch(WatchedRules(rules), read, instance, self.turn, lambda: AlarmJournal(store, instance))

    def tick(self, at_s: float, sessions: float) -> list[str]:
        self.figures.show("voxloop_server_open_sessions", sessions)
        return [type(event).__name__ for event in self.watch.tick(at_s)]


def rows(store: Engine) -> list[tuple[float, float | None]]:
    with store.connect() as connection:
        return [(row.fired_s, row.resolved_s) for row in connection.execute(select(ALARMS).order_by(ALARMS.c.id))]


def test_it_reads_the_servers_own_figures_and_keeps_each_alarm(rules: Path, store: Engine) -> None:
    server = Server(rules, store)
    assert server.tick(100.0, 20.0) == ["DataSeen", "Fired"]
    assert rows(store) == [(100.0, None)]
    assert server.tick(115.0, 7.0) == []
    assert server.tick(130.0, 5.0) == ["Resolved"]
    assert rows(store) == [(100.0, 130.0)]
    assert server.tick(145.0, 11.0) == ["Fired"]
    assert rows(store) == [(100.0, 130.0), (145.0, None)]
    assert [alarm.fired_s for alarm in past_alarms(store, 131.0, 1_000.0)] == [145.0]


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_server_that_was_restarted_goes_on_with_its_alarms(is_killed: bool, rules: Path, store: Engine) -> None:
    first = Server(rules, store)
    first.tick(100.0, 20.0)
    if not is_killed:
        first.watch.close()
    second = Server(rules, store)
    assert second.tick(130.0, 7.0) == []
    assert second.tick(145.0, 5.0) == ["Resolved"]
    assert rows(store) == [(100.0, 145.0)]


SHARE = """
[rules.nulls]
stage = "decoder"
metric = "voxloop_decoder_null_transcripts_total"
aggregation = "share"
of = "voxloop_decoder_transcripts_total"
window_s = 60
min_count = 2
comparison = "above"
threshold = 0.5
severity = "page"
missing = "resolve"
meaning = "Nobody is understood."
action = "Speak."
"""


def test_a_restart_is_no_reason_to_resolve_an_alarm_and_fire_it_again(rules: Path, store: Engine) -> None:
    """Though missing data resolve it: after a restart they are missing for a while, whatever is wrong."""
    rules.write_text(SHARE)

    def hear_and_tick(server: Server, at_s: float, text: str) -> list[str]:
        for _ in range(10):
            server.figures.hear(heard(text))
        return [type(event).__name__ for event in server.watch.tick(at_s)]

    first = Server(rules, store)
    assert [hear_and_tick(first, at_s, "") for at_s in (100.0, 115.0)] == [[], ["DataSeen", "Fired"]]
    second = Server(rules, store)
    assert [hear_and_tick(second, at_s, "") for at_s in (130.0, 145.0, 160.0)] == [[], [], []]
    third = Server(rules, store)
    assert [type(event).__name__ for at_s in (175.0, 190.0, 220.0, 235.0) for event in third.watch.tick(at_s)] == [
        "DataMissing",
        "Resolved",
    ]
    assert rows(store) == [(115.0, 235.0)]


def test_a_threshold_that_is_changed_in_the_file_itself_is_written_down_too(rules: Path, store: Engine) -> None:
    server = Server(rules, store)
    server.tick(100.0, 1.0)
    change_threshold(store, rules, "too_many", 12.0, None, "ada", "more rooms", 105.0)
    server.tick(110.0, 1.0)
    rules.write_text(rules.read_text().replace("threshold = 12.0", "threshold = 20.0"))
    server.tick(120.0, 1.0)
    server.tick(130.0, 1.0)
    told = [(change.changed_s, change.author, change.before, change.after) for change in threshold_changes(store)]
    assert told == [(120.0, BY_HAND, 12.0, 20.0), (105.0, "ada", 10.0, 12.0)]


def test_servers_that_share_a_store_leave_each_others_alarms_alone(rules: Path, store: Engine) -> None:
    first, second = Server(rules, store, "first"), Server(rules, store, "second")
    first.tick(100.0, 20.0)
    second.tick(101.0, 1.0)
    second.tick(116.0, 20.0)
    second.tick(131.0, 1.0)
    assert rows(store) == [(100.0, None), (116.0, 131.0)]


def test_an_alarm_whose_state_was_lost_does_not_fire_in_the_store_for_ever(rules: Path, store: Engine) -> None:
    Server(rules, store).tick(100.0, 20.0)
    with store.begin() as connection:
        connection.execute(ALARM_STATES.update().values(document={"of": "another version"}))
    with capture_logs() as logs:
        Server(rules, store).tick(200.0, 1.0)
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["alarms.begun_anew"]
    assert rows(store) == [(100.0, 200.0)]


def test_what_a_store_missed_is_written_when_it_is_back(rules: Path, store: Engine) -> None:
    server = Server(rules, store)
    server.tick(100.0, 1.0)
    with store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE alarms RENAME TO away")
    with capture_logs() as logs:
        assert server.tick(115.0, 20.0) == ["Fired"]
    assert "alarms.not_written" in [log["event"] for log in logs]
    with store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO alarms")
    server.tick(130.0, 1.0)
    assert rows(store) == [(115.0, 130.0)]


def test_a_rule_that_is_taken_out_of_the_file_resolves(rules: Path, store: Engine) -> None:
    server = Server(rules, store)
    server.tick(100.0, 20.0)
    rules.write_text(RULES.replace("too_many", "far_too_many").replace("= 10\nres", "= 100\nres"))
    assert server.tick(115.0, 20.0) == ["DataSeen", "Resolved"]
    assert rows(store) == [(100.0, 115.0)]


def test_one_process_of_several_has_the_turn_and_another_takes_it_over() -> None:
    turn = Turn()
    told, tell = os.pipe()
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"1" if turn.take() and turn.take() else b"0")
        os.read(wait, 1)
        os._exit(0)
    assert os.read(told, 1) == b"1"
    assert not turn.take()
    os.write(go, b".")
    os.waitpid(child, 0)
    assert turn.take()
    turn.close()
    for number in (told, tell, wait, go):
        os.close(number)
