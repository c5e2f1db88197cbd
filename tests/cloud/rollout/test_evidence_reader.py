"""From the store's rows to evidence: each once, none passed over, only what is fair."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert
from tests.cloud.rollout.store_rows import (
    CANDIDATE,
    PRESENT,
    add_label,
    add_shadow,
    add_shadowed,
    add_utterance,
)

from voxloop_cloud.rollout import review_reason
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.evidence import Finding
from voxloop_cloud.rollout.evidence_reader import PAGE_ROWS, EvidenceReader
from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import REVIEWS

SINCE_S, LATE_S = 1_000.0, 5_000.0
CONFIG = RolloutConfig(settle_ms=30_000)
TRIAL = Trial(CANDIDATE, PRESENT, 0.0, SINCE_S, None, SINCE_S, 3)
CANARY = replace(TRIAL, share=0.5, live_since_s=2_000.0, share_since_s=2_500.0)


def read_all(database: Engine, trial: Trial = TRIAL, now_s: float = LATE_S) -> EvidenceReader:
    reader = EvidenceReader(database, trial, CONFIG)
    while reader.read(now_s):
        pass
    return reader


def finding(reader: EvidenceReader, key: str) -> Finding:
    return next(found for found in reader.evidence.findings() if found.guard.key == key)


def test_each_row_counts_once_however_often_one_reads(database: Engine) -> None:
    add_shadowed(database, PAGE_ROWS + 3, SINCE_S + 1)
    reader = EvidenceReader(database, TRIAL, CONFIG)
    assert reader.read(LATE_S)
    assert not reader.read(LATE_S)
    assert not reader.read(LATE_S)
    assert finding(reader, "nulls").count == finding(reader, "word_errors").count == PAGE_ROWS + 3


def test_rows_wait_until_they_are_settled_and_none_is_passed_over(database: Engine) -> None:
    young, old = (add_utterance(database, number, arrived_s) for number, arrived_s in ((1, 1_100.0), (2, 1_050.0)))
    add_shadow(database, young)
    add_shadow(database, old)
    reader = EvidenceReader(database, TRIAL, CONFIG)
    for now_s, count in ((1_090.0, 0), (1_129.0, 0), (1_131.0, 2)):
        reader.read(now_s)
        assert finding(reader, "nulls").count == count


def test_only_utterances_of_this_trial_count(database: Engine) -> None:
    add_shadow(database, add_utterance(database, 1, SINCE_S - 1))
    add_shadow(database, add_utterance(database, 2, SINCE_S + 1, bundle="other@1"))
    add_shadow(database, add_utterance(database, 3, SINCE_S + 1), bundle="other@1")
    add_shadow(database, add_utterance(database, 4, SINCE_S + 1, failure="model"))
    add_utterance(database, 5, SINCE_S + 1)
    assert finding(read_all(database), "nulls").count == 0


def test_present_and_candidate_are_told_apart_whichever_answered(database: Engine) -> None:
    """The candidate, and it alone, is unsure and wrong, once as a shadow and once as the one that answers."""
    add_shadow(database, add_utterance(database, 1, SINCE_S + 1), text="turn", confidence=0.4, busy_ms=99.0)
    told = add_utterance(
        database, 2, SINCE_S + 1, bundle=CANDIDATE, text="turn", confidence=0.4, timings={"recognizer": [99.0, 0.0]}
    )
    add_shadow(database, told, bundle=PRESENT)
    for utterance_id in (1, 2):
        add_label(database, utterance_id, SINCE_S + 2)
    reader = read_all(database)
    assert finding(reader, "doubt").estimate == pytest.approx(0.5)
    assert finding(reader, "word_errors").estimate == pytest.approx(0.75)
    assert finding(reader, "slowness").estimate == 1.0


def test_only_fair_labels_count_and_one_of_each_utterance(database: Engine) -> None:
    add_shadowed(database, 5, SINCE_S + 1, labelled=False)
    add_label(database, 1, SINCE_S + 2)
    add_label(database, 1, SINCE_S + 3, text="something else")
    add_label(database, 2, SINCE_S + 2, source="console")
    add_label(database, 3, SINCE_S + 2, source="device")
    add_label(database, 4, SINCE_S + 2)
    add_label(database, 5, SINCE_S + 2)
    with writing(database) as connection:
        for utterance_id, reason in ((4, review_reason.unsure(0.4, 0.6)), (5, review_reason.AUDIT)):
            connection.execute(
                insert(REVIEWS).values(
                    utterance_id=utterance_id, state="answered", reason=reason, created_s=0.0, due_s=0.0
                )
            )
    found = finding(read_all(database), "word_errors")
    assert (found.count, found.estimate) == (2, 0.0)


def test_texts_that_may_not_be_kept_are_no_labelled_pairs(database: Engine) -> None:
    add_shadow(database, add_utterance(database, 1, SINCE_S + 1, text=None), text=None)
    add_label(database, 1, SINCE_S + 2)
    reader = read_all(database)
    assert finding(reader, "word_errors").count == 0
    assert finding(reader, "nulls").count == 1


def test_devices_that_moved_are_compared_with_their_past_and_with_those_that_stayed(database: Engine) -> None:
    number = 0
    for device, bundle in (("moves", CANDIDATE), ("stays", PRESENT)):
        for arrived_s, told in ((1_500.0, PRESENT), (2_600.0, bundle)):
            for _ in range(10):
                number += 1
                outcome = "redone" if told == CANDIDATE else None
                add_utterance(database, number, arrived_s, device_id=device, bundle=told, outcome=outcome)
    add_utterance(database, number + 1, 2_600.0, device_id="new", bundle=CANDIDATE)
    reader = read_all(database, CANARY)
    assert finding(reader, "redone_live").estimate == 1.0
    assert finding(reader, "failures_live").estimate == 0.0
    assert (reader.evidence.moved_devices, reader.evidence.unmatched) == (1, 1)
    assert reader.answered() == 11
