"""What a listener sees."""

import pytest

from voxloop_edge.live_view import METER_WIDTH, LiveView, status_line
from voxloop_edge.replies import HypothesisArrived, SegmentFailed, TranscriptArrived
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb


@pytest.mark.parametrize(("dbfs", "filled"), [(-100.0, 0), (-60.0, 0), (-30.0, METER_WIDTH // 2), (0.0, METER_WIDTH)])
def test_the_meter_rises_with_the_level(dbfs: float, filled: int) -> None:
    assert status_line(dbfs, "", 80).plain.count("█") == filled


def test_the_newest_words_of_a_long_text_stay_in_sight() -> None:
    line = status_line(-30.0, "one " * 100 + "last", 60)
    assert line.plain.endswith("last")
    assert len(line) <= 60


def test_into_a_pipe_go_only_the_transcripts(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveView() as view:
        view.level(-20.0, 1_600)
        view.reply(HypothesisArrived(1, "hel", 0))
        view.reply(TranscriptArrived(pb.Transcript(segment_id=1, text="hello"), 0, pb.SegmentEnd(), 10.0, 310.0))
        view.reply(TranscriptArrived(pb.Transcript(segment_id=2, text=""), 0, pb.SegmentEnd(), 10.0, 310.0))
        view.reply(SegmentFailed(3, ContractError("too long")))
    out, error = capsys.readouterr()
    assert out == "hello\n"
    assert error == "voxloop: segment 3 failed: too long\n"
