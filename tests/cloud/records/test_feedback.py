"""Feedback and erasure, on the tables: of one's own alone, once or often, with consent."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert, select

from voxloop_cloud.records.clip_key import clip_key, device_digest
from voxloop_cloud.records.clip_store import open_clip_store
from voxloop_cloud.records.erasure import DAY_S, erase_device, erase_old, erased_since
from voxloop_cloud.records.feedback import Feedback, Outcome, file_feedback, read_feedback
from voxloop_cloud.records.record_store import write_records
from voxloop_cloud.records.testing import NOON_S, many_records, some_heard, some_hello
from voxloop_cloud.records.utterance import make_record
from voxloop_cloud.store.tables import LABELS, TAGS, UTTERANCES
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb


@pytest.fixture
def stored(engine: Engine) -> Engine:
    """Two utterances of the kitchen, of which the second may be kept with its text."""
    write_records(
        engine,
        [make_record(some_heard(some_hello(), 1)), make_record(some_heard(some_hello(keep_text=True), 2))],
    )
    return engine


def outcomes(engine: Engine) -> list[tuple[str | None, str | None]]:
    query = select(UTTERANCES.c.outcome, UTTERANCES.c.corrected_text).order_by(UTTERANCES.c.segment_id)
    with engine.connect() as connection:
        return [(outcome, text) for outcome, text in connection.execute(query)]


def corrected(segment_id: int, text: str = "lights off") -> Feedback:
    return Feedback("kitchen", "s1", segment_id, "corrected", text=text)


def test_text_is_filed_with_consent_alone_the_outcome_always(stored: Engine) -> None:
    for segment_id in (1, 2):
        assert file_feedback(stored, corrected(segment_id)) is not None
    assert outcomes(stored) == [("corrected", None), ("corrected", "lights off")]


def test_the_last_word_counts_and_the_same_twice_is_the_same(stored: Engine) -> None:
    before = [file_feedback(stored, corrected(2)), file_feedback(stored, corrected(2))]
    assert [found and found.before for found in before] == [None, "corrected"]
    file_feedback(stored, Feedback("kitchen", "s1", 2, "clicked"))
    assert outcomes(stored)[1] == ("clicked", None)


def test_who_counts_is_told_by_what(stored: Engine) -> None:
    found = file_feedback(stored, Feedback("kitchen", "s1", 1, "redone", redone_in_segment=2))
    assert found == Outcome(
        *("redone", None, "voxloop-default@0.2.2", "primary"),
        *("raspberry-pi-5", "webrtc", "voxloop-edge/0.1.0", "en-US"),
    )


@pytest.mark.parametrize(
    "of_another",
    [{"device_id": "attic"}, {"session_id": "s2"}, {"segment_id": 3}],
)
def test_what_is_not_there_or_anothers_is_left_alone(stored: Engine, of_another: dict[str, object]) -> None:
    assert file_feedback(stored, replace(corrected(2), **of_another)) is None  # type: ignore[arg-type]
    assert outcomes(stored) == [(None, None), (None, None)]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (pb.FeedbackRequest(segment_id=1), "the feedback says nothing"),
        (pb.FeedbackRequest(segment_id=1, clicked=False), "the feedback says nothing"),
        (pb.FeedbackRequest(clicked=True), "segment_id 0; segments count from 1"),
        (pb.FeedbackRequest(segment_id=1 << 63, clicked=True), "segments count from 1"),
        (pb.FeedbackRequest(segment_id=2, redone_in_segment=2), "must be a later one"),
        (pb.FeedbackRequest(segment_id=2, redone_in_segment=1 << 63), "must be a later one"),
    ],
)
def test_feedback_that_says_nothing_is_refused(said: pb.FeedbackRequest, why: str) -> None:
    with pytest.raises(ContractError, match=why):
        read_feedback(said)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (pb.FeedbackRequest(segment_id=1, clicked=True), ("clicked", None, None)),
        (pb.FeedbackRequest(segment_id=1, typed_instead="a\x00b"), ("typed", None, "ab")),
        (pb.FeedbackRequest(segment_id=1, corrected_text=""), ("corrected", None, "")),
        (pb.FeedbackRequest(segment_id=1, redone_in_segment=2), ("redone", 2, None)),
    ],
)
def test_feedback_is_read(said: pb.FeedbackRequest, outcome: tuple[object, ...]) -> None:
    found = read_feedback(said)
    assert (found.outcome, found.redone_in_segment, found.text) == outcome


def test_erasing_reaches_all_of_a_device_and_nothing_of_others(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clips = open_clip_store(str(tmp_path_factory.mktemp("clips")))
    records = list(many_records(3_000))
    write_records(engine, records)
    mine = [record for record in records if record.device_id == "device-7"]
    clips.put(clip_key("device-7", "never written", 1, NOON_S), b"12345")
    clips.put(clip_key("device-8", "s1", 1, NOON_S), b"stays")
    with engine.begin() as connection:
        first = (
            connection.execute(select(UTTERANCES.c.id).where(UTTERANCES.c.device_id == "device-7")).scalars().first()
        )
        label = {"utterance_id": first, "text": "said", "author": "me", "created_s": NOON_S, "source": "console"}
        connection.execute(insert(LABELS), [label])
        connection.execute(insert(TAGS), [{"utterance_id": first, "tag": "t", "author": "me", "created_s": NOON_S}])
    erased = erase_device(engine, clips, "device-7", NOON_S)
    assert (erased.utterances, erased.bytes) == (len(mine), 5)
    with engine.connect() as connection:
        left = set(connection.scalars(select(UTTERANCES.c.device_id)))
        assert "device-7" not in left
        assert len(left) == len({record.device_id for record in records}) - 1
        assert connection.execute(select(LABELS)).all() == connection.execute(select(TAGS)).all() == []
    again = erase_device(engine, clips, "device-7", NOON_S + 1)
    assert (again.utterances, again.bytes) == (0, 0)
    assert erased_since(engine, NOON_S) == {device_digest("device-7"): NOON_S + 1}
    assert erased_since(engine, NOON_S + 2) == {}


def test_what_is_old_goes_and_the_rest_stays(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    clips = open_clip_store(str(tmp_path_factory.mktemp("clips")))
    records = list(many_records(2_000, days=10.0))
    write_records(engine, records)
    for days in (1.0, 5.0):
        clips.put(clip_key("kitchen", "s1", 1, NOON_S - days * DAY_S), b"12345")
    erased = erase_old(engine, clips, 3.0, NOON_S)
    assert erased.utterances == sum(record.arrived_s < NOON_S - 3.0 * DAY_S for record in records) > 0
    assert erased.bytes == 5
    assert erase_old(engine, clips, 3.0, NOON_S).utterances == 0
