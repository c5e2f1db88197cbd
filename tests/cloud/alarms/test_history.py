"""What is made of history: who changed what, which thresholds it suggests, which rules never helped."""

import math
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, event, insert
from sqlalchemy.exc import OperationalError
from tests.cloud.alarms.made_rules import make_rule
from typer.testing import CliRunner

from voxloop_cloud.alarms.past import STEP_S, PastFigures, past_figures
from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.rule_file import SHIPPED_RULES, read_rules
from voxloop_cloud.alarms.suggestions import WEEK_S, alarms, suggest
from voxloop_cloud.alarms.threshold_log import ThresholdChange, change_threshold, threshold_changes
from voxloop_cloud.alarms.usefulness import PastAlarm, usefulness
from voxloop_cloud.store.database import open_database, sqlite_url
from voxloop_cloud.store.tables import ALARMS, METADATA, UTTERANCES
from voxloop_proto.cli import app
from voxloop_proto.errors import ConfigError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(sqlite_url(tmp_path / "voxloop.db"))
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


def shipped(name: str) -> Rule:
    return next(rule for rule in read_rules() if rule.name == name)


def utterance(number: int, arrived_s: float, **columns: Any) -> dict[str, Any]:
    needed = {"session_id": "s", "segment_id": number, "device_id": "d", "bundle": "a@1", "route": "primary"}
    return needed | {"arrived_s": arrived_s, "duration_ms": 1000.0, "start_sample": 0, "is_null": False} | columns


def keep(store: Engine, rows: Sequence[dict[str, Any]]) -> None:
    with store.begin() as connection:
        connection.execute(insert(UTTERANCES), list(rows))


def test_a_change_is_written_with_who_and_why_and_the_file_made_of_the_shipped_one(
    store: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "alarms.toml"
    change_threshold(store, file, "slow_answers", 0.4, None, "ada", "far away", 10.0)
    change_threshold(store, file, "slow_answers", 0.3, 0.3, "bob", "less far", 20.0)
    (rule,) = [rule for rule in read_rules(file) if rule.name == "slow_answers"]
    assert (rule.threshold, rule.resolves_at) == (0.3, 0.3)
    assert threshold_changes(store) == [
        ThresholdChange("slow_answers", 20.0, "bob", "less far", 0.4, 0.3),
        ThresholdChange("slow_answers", 10.0, "ada", "far away", 0.2, 0.4),
    ]
    assert threshold_changes(store, "redone") == []
    assert file.read_text().count("#") == SHIPPED_RULES.read_text().count("#")


def test_a_change_that_may_not_be_leaves_neither_file_nor_line(store: Engine, tmp_path: Path) -> None:
    file = tmp_path / "alarms.toml"
    with pytest.raises(ConfigError):
        change_threshold(store, file, "slow_answers", 99.0, None, "ada", "why not", 10.0)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot"):
        change_threshold(store, tmp_path / "folder", "slow_answers", 0.3, None, "ada", "why not", 10.0)
    assert not file.exists()
    assert threshold_changes(store) == []


@pytest.mark.parametrize(
    ("author", "reason", "why"),
    [("", "far away", "an author of 0"), ("a" * 65, "far away", "an author of 65"), ("ada", " \x00", "no reason")],
)
def test_a_change_by_nobody_or_for_nothing_is_refused(
    store: Engine, tmp_path: Path, author: str, reason: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        change_threshold(store, tmp_path / "alarms.toml", "slow_answers", 0.4, None, author, reason, 10.0)
    assert threshold_changes(store) == []


@pytest.mark.parametrize("is_new", [True, False])
def test_a_change_that_the_store_does_not_take_in_the_end_is_not_in_the_file(
    store: Engine, tmp_path: Path, is_new: bool
) -> None:
    def fail(_connection: Connection) -> None:
        raise OperationalError("COMMIT", None, Exception("database or disk is full"))

    file = tmp_path / "alarms.toml"
    if not is_new:
        change_threshold(store, file, "slow_answers", 0.4, None, "ada", "far away", 10.0)
        file.chmod(0o640)
    before = None if is_new else file.read_bytes()
    event.listen(store, "commit", fail)
    with pytest.raises(OperationalError):
        change_threshold(store, file, "slow_answers", 0.3, None, "ada", "less far", 20.0)
    event.remove(store, "commit", fail)
    assert (file.read_bytes() if file.exists() else None) == before
    assert is_new or file.stat().st_mode & 0o777 == 0o640


def test_the_past_of_a_share_is_that_of_its_windows(store: Engine) -> None:
    rule = shipped("null_transcripts").model_copy(update={"min_count": 2, "window_s": 120})
    nulls = [True, False, False, False, True, True]
    keep(store, [utterance(n, 1_000.0 + 60.0 * n, is_null=is_null) for n, is_null in enumerate(nulls)])
    keep(store, [utterance(99, 1_010.0, failure="model")])
    ((past),) = past_figures(store, rule, 0.0, 1_360.0)
    assert past.labels == (("bundle", "a@1"),)
    assert past.at_s.tolist() == [1_060.0, 1_120.0, 1_180.0, 1_240.0, 1_300.0, 1_360.0]
    expected = [0.5, 0.0, 0.0, 0.5, 1.0, math.nan]  # of (t - 120, t]: two each, then one alone
    assert past.figures.tolist() == pytest.approx(expected, nan_ok=True)


def test_the_past_of_means_quantiles_and_rates(store: Engine) -> None:
    rows = [
        utterance(n, 1_000.0 + n, server_latency_ms=10.0 * n, voiced_ratio=n / 100, vad_kind="webrtc", failure=None)
        for n in range(100)
    ]
    keep(store, rows)
    keep(store, [utterance(200 + n, 1_050.0, failure="overload", timings={}) for n in range(6)])
    latency = shipped("slow_answers")
    assert next(past_figures(store, latency, 0.0, 1_120.0)).figures[-1] == pytest.approx(
        np.quantile(np.arange(100), 0.95) / 100
    )
    voiced = shipped("unvoiced_segments").model_copy(update={"split_by": None})
    assert next(past_figures(store, voiced, 0.0, 1_120.0)).figures[-1] == pytest.approx(0.495)
    failed = shipped("failed_segments")
    assert next(past_figures(store, failed, 0.0, 1_120.0)).figures[-1] == pytest.approx(6 / 106)
    of_model = shipped("model_failures")
    assert next(past_figures(store, of_model, 0.0, 1_120.0)).figures[-1] == 0.0
    rate = make_rule(
        stage="recognizer", metric="voxloop_recognizer_audio_seconds_total", aggregation="rate", window_s=600
    )
    assert next(past_figures(store, rate, 0.0, 1_120.0)).figures[-1] == pytest.approx(100 / 600)


def test_the_past_knows_what_the_detector_found_and_what_the_user_did(store: Engine) -> None:
    rows = [
        utterance(n, 1_000.0 + n, redo_probability=0.9 if n % 4 == 0 else 0.1, outcome="typed" if n % 5 == 0 else None)
        for n in range(100)
    ]
    keep(store, rows)
    redone, typed = (next(past_figures(store, shipped(name), 0.0, 1_120.0)) for name in ("redone", "typed_instead"))
    assert redone.figures[-1] == pytest.approx(0.25)
    assert typed.figures[-1] == pytest.approx(0.2)


def test_a_suggestion_keeps_to_the_alarms_that_are_not_too_many() -> None:
    at_s = np.arange(0.0, 2 * WEEK_S, STEP_S)
    figures = np.random.default_rng(3).normal(10.0, 1.0, at_s.size)
    rule = make_rule(threshold=10.0, resolves_at=9.0)
    past = [PastFigures((), at_s, figures)]
    for most in (100.0, 20.0, 2.0):
        found = suggest(rule, past, most)
        assert found is not None
        assert found.chosen.alarms_per_week <= most < found.present_alarms_per_week
        assert found.chosen.alarms_per_week == alarms(rule.at(found.chosen.threshold), past) / 2
        tighter = [each for each in found.candidates if each.threshold < found.chosen.threshold]
        assert all(each.alarms_per_week > most for each in tighter)
    assert suggest(rule, [], 1.0) is None


def test_a_suggestion_for_a_rule_below_goes_the_other_way() -> None:
    figures = np.linspace(-60.0, -20.0, 5_000).astype(np.float64)
    past = [PastFigures((), np.arange(0.0, 5_000 * STEP_S, STEP_S), figures)]
    found = suggest(make_rule(comparison="below", threshold=-30.0, resolves_at=-25.0), past, 0.0)
    assert found is not None
    assert found.chosen.threshold == -60.0
    assert [each.threshold for each in found.candidates] == sorted(
        (each.threshold for each in found.candidates), reverse=True
    )


def test_rules_that_never_helped_are_named_with_their_figures() -> None:
    past = [
        *(PastAlarm("a", 100.0 * n, 100.0 * n + 10) for n in range(1, 9)),
        *(PastAlarm("twin", 100.0 * n + 5, 100.0 * n + 8) for n in range(1, 5)),
        PastAlarm("noisy", -50.0, 300.0),
        PastAlarm("noisy", 200.0, None),
    ]
    found = {each.rule: each for each in usefulness(["a", "twin", "noisy", "still"], past, 0.0, 1_000.0)}
    assert found["still"].verdict == "never fired"
    assert (found["noisy"].alarms, found["noisy"].firing_ratio) == (2, 1.0)
    assert found["noisy"].verdict == "fired 100% of the time"
    assert found["twin"].together_ratio == 1.0
    assert found["a"].firing_ratio == pytest.approx(0.08)
    quiet = [each for each in past if each.rule != "noisy"]
    found = {each.rule: each for each in usefulness(["a", "twin"], quiet, 0.0, 1_000.0)}
    assert found["twin"].verdict == "100% of its alarms came while a fired, too"
    assert (found["a"].doubles, found["a"].together_ratio, found["a"].verdict) == ("twin", 0.5, "")


def test_the_commands_work_on_a_store(store: Engine, tmp_path: Path) -> None:
    now_s = time.time()
    keep(store, [utterance(n, now_s - 86_400.0 + 20.0 * n, is_null=n % 10 == 0) for n in range(4_000)])
    row = {"rule": "slow_answers", "severity": "page", "fired_s": now_s - 100, "threshold": 0.2, "labels": {}}
    with store.begin() as connection:
        connection.execute(insert(ALARMS).values(row))
    where = ["--state", str(tmp_path)]
    own = ["--rules", str(tmp_path / "alarms.toml"), *where]
    for arguments, said in (
        (["list"], "null_transcripts"),
        (["check"], "16 rules, all right"),
        (["render"], "alert: VoxloopSlowAnswers"),
        (["set", "quiet_microphones", "-60.5", "--reason", "lapels", *own], "quiet_microphones: -55 -> -60.5"),
        (["history", *where], "lapels"),
        (["suggest", *own], "null_transcripts"),
        (["suggest", "null_transcripts", "--per-week", "0", *own], "*"),
        (["report", *own], "never fired"),
    ):
        found = CliRunner().invoke(app, ["alarms", *arguments], env={"COLUMNS": "140"})
        assert found.exit_code == 0, (arguments, found.output, found.exception)
        assert said in found.output, (arguments, found.output)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "redone", "0.3", "--reason", "x"], "the rules that ship"),
        (["set", "redone", "0.3", "--reason", " ", "--rules", "alarms.toml"], "say in a sentence why"),
        (["history"], "give --state DIR"),
        (["check", "--rules", "/none.toml"], "no alarm rules /none.toml"),
    ],
)
def test_a_command_that_cannot_says_what_to_do(arguments: list[str], said: str) -> None:
    found = CliRunner().invoke(app, ["alarms", *arguments])
    assert found.exit_code == 2
    assert said in found.output


def test_a_store_that_fails_is_told_in_a_line_and_nothing_is_changed(store: Engine, tmp_path: Path) -> None:
    rules = tmp_path / "alarms.toml"
    change_threshold(store, rules, "redone", 0.2, None, "ada", "of this test", 10.0)
    other = sqlite3.connect(tmp_path / "voxloop.db", isolation_level=None)
    other.execute("ALTER TABLE threshold_changes RENAME TO away")
    own = ["--rules", str(rules), "--state", str(tmp_path)]
    found = CliRunner().invoke(app, ["alarms", "set", "redone", "0.3", "--reason", "x", *own])
    other.execute("ALTER TABLE away RENAME TO threshold_changes")
    other.close()
    assert (found.exit_code, "the store cannot be used now" in found.output) == (5, True)
    assert [rule.threshold for rule in read_rules(rules) if rule.name == "redone"] == [0.2]
