"""People in place of the model: a real device speaks, a real server asks, somebody answers, and the device is told."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from tests.e2e.conftest import QUERIES, ServerProcess, voxloop
from tests.e2e.rollout_server import client, put, serving

from voxloop_cloud.rollout.review import Review, State
from voxloop_cloud.rollout.review_queue import ReviewQueue
from voxloop_cloud.routing.policy import Automation, Mode, Policy
from voxloop_cloud.routing.policy_steps import with_automation
from voxloop_cloud.store.database import open_database, sqlite_url
from voxloop_cloud.store.store_config import DATABASE_FILE
from voxloop_cloud.store.tables import LABELS
from voxloop_proto.errors import ConfigError

CLIP = QUERIES / "lights.flac"
SAID = "turn the lights on"
CONSENT = {"VOXLOOP_CONSENT__KEEP_TEXT": "true", "VOXLOOP_CONSENT__KEEP_AUDIO": "true"}
MOST_S = 60.0


@contextmanager
def people_answer(bundle: Path, tmp_path: Path, mode: Mode, answer_ms: int) -> Iterator[tuple[ServerProcess, Engine]]:
    """A server of two workers whose policy it is that people answer, and its database."""
    settings = f"[rollout.reviews]\nanswer_ms = {answer_ms}\n"
    with serving(bundle, tmp_path, settings, "--workers", 2) as server:
        with client(server) as admin:
            in_force = json.loads(admin.policy().policy.document)
            put(admin, with_automation(Policy.model_validate(in_force), Automation(mode=mode)))
        time.sleep(1.0)  # the other worker has a second to obey
        database = open_database(sqlite_url(tmp_path / "state" / DATABASE_FILE))
        try:
            yield server, database
        finally:
            database.dispose()


@contextmanager
def replaying(server: ServerProcess, report: Path, **consent: str) -> Iterator["subprocess.Popen[str]"]:
    """A device that says the clip."""
    command = voxloop("replay", CLIP, "--server", server.address, "--insecure", "--report", report)
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, env=os.environ | consent)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def texts_told(process: "subprocess.Popen[str]", report: Path) -> list[str]:
    """What the device was told, once it has ended."""
    process.communicate(timeout=MOST_S)
    assert process.returncode == 0
    (utterance,) = json.loads(report.read_text())["utterances"]
    return [segment["text"] for segment in utterance["segments"]]


def claimed(
    queue: ReviewQueue, name: str, claim_s: float = 60.0, may_end: Callable[[], bool] = lambda: False
) -> Review | None:
    """The next review, as soon as there is one; None if there may be no more."""
    deadline_s = time.monotonic() + MOST_S
    while (review := queue.claim(name, time.time(), claim_s)) is None:
        assert time.monotonic() < deadline_s, "nobody was asked"
        if may_end():
            return None
        time.sleep(0.05)
    return review


def test_a_device_is_told_what_a_person_heard(tiny: Path, tmp_path: Path) -> None:
    """The first to claim lets their time run out; the second hears the sound and answers, with the model's text before
    them; the answer is told, and is a label."""
    report = tmp_path / "report.json"
    with people_answer(tiny, tmp_path, Mode.ASSISTANCE, 60_000) as (server, database):
        queue = ReviewQueue(database, 100)
        with replaying(server, report, **CONSENT) as device:
            idle = claimed(queue, "bob", claim_s=0.3)
            assert idle is not None
            answered = []
            while review := claimed(queue, "ann", may_end=lambda: device.poll() is not None):
                assert review.is_awaited
                assert review.suggestion, "the model's text is there to help"
                assert review.clip is not None
                assert (tmp_path / "state" / "clips" / review.clip).stat().st_size > 1_000
                queue.answer(review.id, "ann", SAID, time.time())
                answered.append(review)
            told = texts_told(device, report)
        assert idle.id == answered[0].id
        with pytest.raises(ConfigError, match="is answered already, by ann"):
            queue.answer(idle.id, "bob", "too late", time.time())
        with database.connect() as connection:
            labels = connection.execute(select(LABELS)).all()
    assert told == [SAID] * len(answered)
    assert {(row.text, row.author, row.source) for row in labels} == {(SAID, "ann", "review")}
    assert len(labels) == len(answered) >= 1


def test_a_device_that_nobody_answers_is_told_what_the_model_heard(tiny: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with people_answer(tiny, tmp_path, Mode.HUMAN, 1_000) as (server, database):
        queue = ReviewQueue(database, 100)
        with replaying(server, report, **CONSENT) as device:
            held = claimed(queue, "bob")
            told = texts_told(device, report)
        listed = queue.listed()
        assert held is not None
        with pytest.raises(ConfigError, match="came too late"):
            queue.answer(held.id, "bob", SAID, time.time())
    assert len(told) == len(listed) >= 1
    assert all(told)
    assert SAID not in told
    assert {each.state for each in listed} == {State.EXPIRED}
    assert {each.suggestion for each in listed} == {None}, "people are to answer without the model's text"


def test_nobody_hears_a_device_that_does_not_let_its_sound_be_kept(tiny: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with people_answer(tiny, tmp_path, Mode.HUMAN, 60_000) as (server, database):
        with replaying(server, report) as device:
            told = texts_told(device, report)
        assert ReviewQueue(database, 100).listed() == []
    assert told
    assert all(told)
