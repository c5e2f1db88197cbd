"""The record of an utterance: what the device and the server say, and nothing that nobody said."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.records.testing import some_heard, some_hello
from voxloop_cloud.records.utterance import COLUMNS, make_record
from voxloop_cloud.store.tables import UTTERANCES
from voxloop_proto.v1 import voxloop_pb2 as pb

FAILURE = pb.Failure(segment_id=1, code=pb.FAILURE_CODE_MODEL, message="said what was heard", retryable=False)


def test_it_has_the_columns_of_its_table_and_no_others() -> None:
    assert {*COLUMNS} == {column.name for column in UTTERANCES.columns} - {"id"}


def test_it_holds_what_device_and_server_say() -> None:
    record = make_record(some_heard(some_hello(keep_text=True, train=True)), clip="a/b")
    assert record.key == ("s1", 1)
    assert (record.device_kind, record.vad_kind, record.locale) == ("raspberry-pi-5", "webrtc", "en-US")
    assert (record.bundle, record.route, record.codec, record.end_reason) == (
        *("voxloop-default@0.2.2", "primary"),
        *("pcm16", "silence"),
    )
    assert (record.keeps_audio, record.keeps_text, record.may_train) == (False, True, True)
    assert (record.duration_ms, record.pre_roll_ms, record.after_voice_ms) == (1500.0, 300.0, 300.0)
    assert (record.raw_level_dbfs, record.snr_db, record.level_dbfs) == (-31.0, 24.0, -24.0)
    assert (record.text, record.word_count, record.is_null, record.clip) == ("turn the lights on", 4, False, "a/b")
    assert record.characters_per_s == pytest.approx(18 / 1.5)
    assert record.timings == {"vad": (0.5, 0.0), "recognizer": (6.0, 1.0)}
    assert (record.feature_mean, record.feature_deviation, record.server_latency_ms) == (-8.0, 3.0, 11.0)


def test_text_is_kept_with_consent_alone_and_what_is_counted_of_it_always() -> None:
    record = make_record(some_heard(some_hello()))
    assert record.text is None
    assert (record.word_count, record.is_null) == (4, False)
    assert "lights" not in json.dumps(record.to_row())


def test_a_null_transcript_is_a_text_without_words() -> None:
    record = make_record(some_heard(some_hello(keep_text=True), text=""))
    assert (record.text, record.is_null, record.word_count, record.failure) == ("", True, 0, None)


def test_what_nobody_said_is_null_and_never_nought() -> None:
    heard = some_heard(pb.Hello(session_id="s1", device_id="kitchen"))
    assert heard.end is not None
    end = pb.SegmentEnd()
    end.CopyFrom(heard.end)
    end.ClearField("report")
    end.ClearField("last_voiced_sample")
    record = make_record(replace(heard, end=end, features=None))
    unknown = ("raw_level_dbfs", "applied_gain_db", "clipped_ratio", "voiced_ratio", "snr_db", "after_voice_ms")
    of_device = ("vad_threshold", "padding_before_ms", "padding_after_ms", "normalization_target_dbfs")
    for name in (*unknown, *of_device, "feature_mean", "feature_deviation", "outcome", "redo_probability", "clip"):
        assert getattr(record, name) is None, name
    assert record.codec == ""


def test_a_failure_has_its_code_and_no_text() -> None:
    record = make_record(some_heard(some_hello(keep_text=True), failure=FAILURE))
    assert (record.failure, record.text, record.confidence, record.is_null) == ("model", None, None, False)
    assert record.characters_per_s is None
    assert "said" not in json.dumps(record.to_row())


def test_a_segment_that_failed_before_its_end_has_what_came() -> None:
    record = make_record(replace(some_heard(some_hello(), failure=FAILURE), end=None, received_samples=0))
    assert (record.end_reason, record.snr_db, record.duration_ms, record.level_dbfs) == ("", None, 0.0, None)


@given(st.floats(width=32), st.text(max_size=20), st.integers(0, 1 << 31))
def test_whatever_a_device_says_the_row_can_be_written(value: float, text: str, reason: int) -> None:
    hello = some_hello(keep_text=True)
    hello.device_kind = text
    hello.vad.threshold = value
    heard = some_heard(hello)
    assert heard.end is not None
    heard.end.report.snr_db = value
    heard.end.report.timings.add(stage=text, busy_ms=value)
    heard.end.reason = min(reason, (1 << 31) - 1)  # type: ignore[assignment] # what a newer device may say
    row = make_record(heard).to_row()
    json.dumps(row, allow_nan=False)
    assert all(math.isfinite(found) for found in row.values() if isinstance(found, float))
    assert not any("\x00" in found for found in row.values() if isinstance(found, str))
