"""The queue for people: one person each, answered once, in time or not at all."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from sqlalchemy import Engine, select
from tests.cloud.rollout.store_rows import add_utterance

from voxloop_cloud.rollout.review import Request, Review, State
from voxloop_cloud.rollout.review_queue import ReviewQueue
from voxloop_cloud.store.tables import LABELS
from voxloop_proto.errors import ConfigError, OverloadError

REVIEWERS, ITEMS = 4, 40

REVIEWER = """
import json, sys, time
from voxloop_cloud.rollout.review_queue import ReviewQueue
from voxloop_cloud.store.database import open_database
url, name = sys.argv[1:]
queue, mine = ReviewQueue(open_database(url), 1000), []
sys.stdin.readline()  # all begin at once
while review := queue.claim(name, 100.0, 60.0):
    queue.answer(review.id, name, "yes", 101.0)
    mine.append(review.id)
print(json.dumps(mine))
"""


def ask(queue: ReviewQueue, segment_id: int, due_s: float = 500.0, is_awaited: bool = True) -> Review:
    request = Request("session", segment_id, "policy: people answer (human)", "turn it on", is_awaited, due_s)
    review = queue.ask(request, 50.0)
    assert review is not None
    return review


@pytest.fixture
def queue(database: Engine) -> ReviewQueue:
    for number in range(1, ITEMS + 1):
        add_utterance(database, number, 40.0)
    return ReviewQueue(database, most_waiting=ITEMS)


def test_no_two_reviewers_get_the_same_utterance(queue: ReviewQueue, database: Engine) -> None:
    """Real processes that claim and answer as fast as they can."""
    asked = {ask(queue, number).id for number in range(1, ITEMS + 1)}
    url = database.url.render_as_string(hide_password=False)
    reviewers = [
        subprocess.Popen(
            [sys.executable, "-c", REVIEWER, url, f"reviewer-{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(REVIEWERS)
    ]
    outputs = []
    for reviewer in reviewers:
        assert reviewer.stdin is not None
        reviewer.stdin.write("go\n")
        reviewer.stdin.flush()
    for reviewer in reviewers:
        outputs.append(json.loads(reviewer.communicate(timeout=120)[0]))
        assert reviewer.returncode == 0
    taken = Counter(review_id for mine in outputs for review_id in mine)
    assert set(taken) == asked
    assert set(taken.values()) == {1}
    with database.connect() as connection:
        labels = connection.execute(select(LABELS.c.utterance_id, LABELS.c.text, LABELS.c.source)).all()
    assert len(labels) == len({label.utterance_id for label in labels}) == ITEMS
    assert {(label.text, label.source) for label in labels} == {("yes", "review")}


def test_what_is_asked_twice_is_asked_once(queue: ReviewQueue) -> None:
    assert ask(queue, 1) == ask(queue, 1, due_s=900.0)
    assert queue.ask(Request("session", 999, "x", None, True, 500.0), 50.0) is None


def test_devices_that_wait_come_first_then_what_is_due_first(queue: ReviewQueue) -> None:
    for number, due_s, is_awaited in ((1, 300.0, False), (2, 400.0, True), (3, 350.0, True)):
        ask(queue, number, due_s, is_awaited)
    claimed = [queue.claim(name, 100.0, 60.0) for name in ("ann", "bob", "cem", "dan")]
    assert [review and review.segment_id for review in claimed] == [3, 2, 1, None]


def test_a_reviewer_who_comes_back_gets_their_own_again(queue: ReviewQueue) -> None:
    ask(queue, 1), ask(queue, 2)
    first, again = queue.claim("ann", 100.0, 60.0), queue.claim("ann", 130.0, 60.0)
    assert first is not None
    assert again is not None
    assert (again.id, again.claimed_until_s) == (first.id, 190.0)


def test_a_claim_that_ran_out_goes_to_another_and_its_answer_is_refused(queue: ReviewQueue) -> None:
    review = ask(queue, 1)
    assert queue.claim("ann", 100.0, 60.0)
    assert queue.claim("bob", 150.0, 60.0) is None
    taken = queue.claim("bob", 161.0, 60.0)
    assert taken is not None
    assert taken.claimed_by == "bob"
    with pytest.raises(ConfigError, match="is bob's, not ann's"):
        queue.answer(review.id, "ann", "late", 162.0)
    assert queue.answer(review.id, "bob", "in time", 162.0).answer == "in time"
    with pytest.raises(ConfigError, match="answered already"):
        queue.answer(review.id, "bob", "again", 163.0)


def test_a_claim_of_ones_own_that_ran_out_is_told(queue: ReviewQueue) -> None:
    review = ask(queue, 1)
    queue.claim("ann", 100.0, 60.0)
    with pytest.raises(ConfigError, match="ran out"):
        queue.answer(review.id, "ann", "late", 161.0)


def test_what_is_given_back_goes_to_the_next(queue: ReviewQueue) -> None:
    review = ask(queue, 1)
    queue.claim("ann", 100.0, 60.0)
    assert not queue.release(review.id, "bob")
    assert queue.release(review.id, "ann")
    found = queue.claim("bob", 101.0, 60.0)
    assert found is not None
    assert found.id == review.id


def test_what_is_due_expires_and_can_be_neither_claimed_nor_answered(queue: ReviewQueue, database: Engine) -> None:
    review = ask(queue, 1, due_s=200.0)
    queue.claim("ann", 150.0, 60.0)
    assert queue.settled([review.id]) == []
    assert queue.expire(200.0) == 1
    assert [each.state for each in queue.settled([review.id])] == [State.EXPIRED]
    assert queue.claim("bob", 201.0, 60.0) is None
    with pytest.raises(ConfigError, match="too late"):
        queue.answer(review.id, "ann", "late", 201.0)
    assert queue.waiting(201.0) == 0
    with database.connect() as connection:
        assert connection.execute(select(LABELS)).all() == []


def test_the_queue_is_bounded(database: Engine) -> None:
    queue = ReviewQueue(database, most_waiting=1)
    add_utterance(database, 1, 40.0)
    add_utterance(database, 2, 40.0)
    ask(queue, 1)
    with pytest.raises(OverloadError, match="1 utterances wait for a person; allowed are 1"):
        ask(queue, 2)


@pytest.mark.parametrize("name", ["", " ", "x" * 65])
def test_a_reviewer_has_a_name(queue: ReviewQueue, name: str) -> None:
    with pytest.raises(ConfigError, match="reviewer's name"):
        queue.claim(name, 100.0, 60.0)


def test_an_answer_of_no_review_is_told(queue: ReviewQueue) -> None:
    with pytest.raises(ConfigError, match="no review 99"):
        queue.answer(99, "ann", "x", 100.0)


def test_the_list_is_the_newest_first(queue: ReviewQueue) -> None:
    ask(queue, 1), ask(queue, 2)
    queue.claim("ann", 100.0, 60.0)
    assert [review.segment_id for review in queue.listed()] == [2, 1]
    assert [review.segment_id for review in queue.listed(State.CLAIMED)] == [1]


def test_what_is_due_is_over_without_anybody_asking(queue: ReviewQueue) -> None:
    """A server that ended meanwhile marks nothing; the next claim does."""
    ask(queue, 1, due_s=200.0)
    ask(queue, 2, due_s=500.0)
    assert queue.waiting(199.0) == 2
    assert queue.waiting(200.0) == 1
    found = queue.claim("ann", 300.0, 60.0)
    assert found is not None
    assert found.segment_id == 2
    assert {each.segment_id: each.state for each in queue.listed()} == {1: State.EXPIRED, 2: State.CLAIMED}


def test_a_reviewer_sees_what_they_may_still_answer(queue: ReviewQueue) -> None:
    ask(queue, 1, due_s=500.0)
    assert queue.claimed("ann", 100.0) is None
    queue.claim("ann", 100.0, 60.0)
    assert queue.claimed("bob", 100.0) is None
    found = queue.claimed("ann", 160.0)
    assert found is not None
    assert found.segment_id == 1
    assert queue.claimed("ann", 161.0) is None, "the claim has run out"
    queue.claim("ann", 400.0, 600.0)
    assert queue.claimed("ann", 500.0) is None, "it is due"
