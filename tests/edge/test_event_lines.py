"""What another program reads of a listener."""

import io
import json
from typing import cast

import pytest

from voxloop_edge.event_lines import EventLines
from voxloop_edge.replies import (
    HotwordsIgnored,
    HypothesisArrived,
    LinkChanged,
    SegmentFailed,
    TranscriptArrived,
)
from voxloop_proto.audio import SILENCE_DBFS
from voxloop_proto.errors import ContractError
from voxloop_proto.events import EndReason, SegmentEnded, SegmentMeasures, SegmentStarted
from voxloop_proto.v1 import voxloop_pb2 as pb

MEASURES = SegmentMeasures(-20.0, 0.0, 0.9, 20.0)


def printed(out: io.BytesIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_event_is_a_line_with_times_in_seconds() -> None:
    out = io.BytesIO()
    lines = EventLines(out, pytest.fail)
    provenance = pb.Provenance(bundle="tiny", bundle_version="1", route=pb.ROUTE_PRIMARY)
    transcript = pb.Transcript(segment_id=1, text="zwölf\nUhr", confidence=0.5, provenance=provenance)
    lines.level(-20.04, 1_600)
    lines.segment(SegmentStarted(1, 8_000, 0, -60.0))
    lines.reply(HypothesisArrived(1, "zw", 1))
    lines.segment(SegmentEnded(1, 24_000, 20_000, EndReason.SILENCE, MEASURES))
    lines.reply(TranscriptArrived(transcript, 8_000, pb.SegmentEnd(end_sample=24_000), 10.0, 310.0))
    lines.reply(SegmentFailed(2, ContractError("too long")))
    lines.reply(LinkChanged(False, "away"))
    lines.reply(HotwordsIgnored())
    assert printed(out) == [
        {"event": "level", "until_s": 0.1, "dbfs": -20.0},
        {"event": "started", "segment": 1, "start_s": 0.5},
        {"event": "hypothesis", "segment": 1, "text": "zw", "stable_characters": 1},
        {"event": "ended", "segment": 1, "end_s": 1.5, "reason": "silence"},
        {
            "event": "transcript",
            "segment": 1,
            "start_s": 0.5,
            "end_s": 1.5,
            "text": "zwölf\nUhr",
            "confidence": 0.5,
            "latency_ms": 10.0,
            "user_latency_ms": 310.0,
            "bundle": "tiny@1",
            "route": "primary",
        },
        {"event": "failed", "segment": 2, "message": "too long"},
        {"event": "link", "is_open": False, "reason": "away"},
        {"event": "notice", "message": "this server's bundle takes no hotwords; they have no effect"},
    ]


def test_silence_is_a_number() -> None:
    out = io.BytesIO()
    EventLines(out, pytest.fail).level(SILENCE_DBFS, 0)
    assert printed(out)[0]["dbfs"] == SILENCE_DBFS
    assert b"Infinity" not in out.getvalue()


class Closed:
    """A pipe that nobody reads any more."""

    def write(self, _: bytes) -> int:
        raise BrokenPipeError


def test_nobody_who_reads_is_told_once_and_no_more_is_printed() -> None:
    told: list[str] = []
    lines = EventLines(cast(io.BytesIO, Closed()), lambda: told.append("unread"))
    for _ in range(3):
        lines.level(-20.0, 0)
    assert told == ["unread"]
