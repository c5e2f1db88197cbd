"""The outbox keeps what is unanswered and forgets what is not."""

from hypothesis import given
from hypothesis import strategies as st

from voxloop_edge.outbox import Outbox
from voxloop_edge.wire import WireWriter
from voxloop_proto.events import EncodedEvent, EndReason, SegmentEnded, SegmentMeasures, SegmentPayload, SegmentStarted
from voxloop_proto.v1 import voxloop_pb2 as pb

MEASURES = SegmentMeasures(-30.0, 0.0, 0.9, 20.0)


def segment(segment_id: int, payloads: int) -> list[pb.RecognizeRequest]:
    wire = WireWriter()
    started = SegmentStarted(segment_id, 0, 0, -60.0, 3.0)
    ended = SegmentEnded(segment_id, 100 * payloads, 90 * payloads, EndReason.SILENCE, MEASURES)
    sound = [SegmentPayload(segment_id, bytes(200), 100, 3.0)] * payloads
    events: list[EncodedEvent] = [started, *sound, ended]
    return [wire.write(event) for event in events]


def drain(outbox: Outbox) -> list[pb.RecognizeRequest]:
    return list(iter(outbox.next_message, None))


def test_messages_are_numbered_and_counted() -> None:
    start, first, second, end = segment(7, 2)
    assert start.segment_start.applied_gain_db == 3.0
    assert [first.audio.sequence, second.audio.sequence] == [0, 1]
    assert end.segment_end.sent_samples == 200
    assert end.segment_end.reason == pb.END_REASON_SILENCE


@given(st.lists(st.sampled_from(["add", "write", "rewind", "settle"]), max_size=80))
def test_each_connection_carries_all_that_is_unanswered_in_order(steps: list[str]) -> None:
    outbox, next_id = Outbox(1 << 20), 1
    unsettled: list[int] = []
    carried: list[pb.RecognizeRequest] = []
    for step in steps:
        if step == "add":
            for message in segment(next_id, 2):
                outbox.add(message)
            unsettled.append(next_id)
            next_id += 1
        elif step == "write":
            written = outbox.next_message()
            assert (written is None) == (len(carried) == 4 * len(unsettled))
            carried += [written] if written else []
        elif step == "rewind":
            outbox.rewind()
            carried = []
        elif unsettled:
            settled = unsettled.pop(0)
            assert outbox.settle(settled) is not None
            assert outbox.settle(settled) is None
            carried = carried[4:]
    rest = carried + drain(outbox)
    assert len(outbox) == len(unsettled)
    assert rest == [message for segment_id in unsettled for message in segment(segment_id, 2)]
    assert outbox.size_bytes == sum(message.ByteSize() for message in rest)


def test_the_rest_of_a_segment_that_failed_early_is_dropped() -> None:
    outbox = Outbox(1 << 20)
    messages = segment(1, 3)
    outbox.add(messages[0])
    outbox.settle(1)
    for message in messages[1:]:
        outbox.add(message)
    assert len(outbox) == outbox.size_bytes == 0
    outbox.add(segment(2, 1)[0])
    assert len(outbox) == 1


def test_it_is_full_at_its_bound_and_room_comes_with_answers() -> None:
    outbox = Outbox(300)
    for message in segment(1, 2):
        outbox.add(message)
    assert outbox.is_full
    outbox.settle(1)
    assert not outbox.is_full


def test_a_deadline_counts_from_the_present_connection_and_a_latency_from_the_first() -> None:
    outbox = Outbox(1 << 20)
    for message in segment(1, 1):
        outbox.add(message)
    outbox.end_written(1, 10.0)
    assert outbox.oldest_end_s() == 10.0
    outbox.rewind()
    assert outbox.oldest_end_s() is None
    outbox.end_written(1, 20.0)
    assert outbox.oldest_end_s() == 20.0
    settled = outbox.settle(1)
    assert settled is not None
    assert settled.end_first_written_s == 10.0
