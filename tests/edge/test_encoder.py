"""Payloads hold all the sound of a segment, in messages of a known size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_edge.encoder import EncoderConfig, OpusEncoder, Pcm16Encoder, open_encoder
from voxloop_proto.audio import Pcm, from_pcm16
from voxloop_proto.contract import MAX_PAYLOAD_BYTES
from voxloop_proto.events import (
    EncodedEvent,
    EndReason,
    SegmentAudio,
    SegmentEnded,
    SegmentEvent,
    SegmentMeasures,
    SegmentPayload,
    SegmentStarted,
)
from voxloop_proto.opus import OpusDecoder
from voxloop_proto.stage import Stage, run

MEASURES = SegmentMeasures(-30.0, 0.0, 1.0, 20.0)
pieces = st.lists(st.integers(1, 5000), max_size=8)


def segment(lengths: list[int], number: int = 1) -> list[SegmentEvent]:
    events: list[SegmentEvent] = [SegmentStarted(number, 0, 0, -60.0)]
    start = 0
    for length in lengths:
        pcm = (0.3 * np.sin(np.arange(start, start + length) * 0.05)).astype(np.float32)
        events.append(SegmentAudio(number, start, pcm, float(start)))
        start += length
    return [*events, SegmentEnded(number, start, start, EndReason.SILENCE, MEASURES)]


def payloads(stage: Stage[SegmentEvent, EncodedEvent], lengths: list[int]) -> list[SegmentPayload]:
    return [event for event in run(stage, segment(lengths)) if isinstance(event, SegmentPayload)]


def sound(lengths: list[int]) -> Pcm:
    parts = [event.pcm for event in segment(lengths) if isinstance(event, SegmentAudio)]
    return np.concatenate([np.zeros(0, np.float32), *parts])


@given(lengths=pieces)
def test_pcm16_holds_every_sample_whatever_the_pieces(lengths: list[int]) -> None:
    sent = payloads(Pcm16Encoder(), lengths)
    heard = np.concatenate([np.zeros(0, np.float32), *(from_pcm16(payload.payload) for payload in sent)])
    np.testing.assert_allclose(heard, sound(lengths), atol=1 / 32_768)
    assert all(payload.samples == 3200 for payload in sent[:-1])


@settings(max_examples=30)
@given(lengths=pieces)
def test_opus_decodes_to_as_many_samples_as_it_says(lengths: list[int]) -> None:
    decoder = OpusDecoder()
    sent = payloads(OpusEncoder(), lengths)
    assert [len(decoder.decode(payload.payload)) for payload in sent] == [payload.samples for payload in sent]
    assert sum(lengths) <= sum(payload.samples for payload in sent) < sum(lengths) + 320


@settings(max_examples=30)
@given(lengths=pieces)
def test_opus_does_not_depend_on_the_pieces(lengths: list[int]) -> None:
    whole = [payload.payload for payload in payloads(OpusEncoder(), [sum(lengths)] if lengths else [])]
    assert [payload.payload for payload in payloads(OpusEncoder(), lengths)] == whole


def test_segments_do_not_run_into_each_other() -> None:
    for stage in (Pcm16Encoder(), OpusEncoder()):
        first = [event for item in segment([2345], 1) for event in stage.push(item)]
        second = [event for item in segment([2345], 2) for event in stage.push(item)]
        assert [event.payload for event in first if isinstance(event, SegmentPayload)] == [
            event.payload for event in second if isinstance(event, SegmentPayload)
        ]
        assert isinstance(first[0], SegmentStarted)
        assert isinstance(first[-1], SegmentEnded)


def test_the_largest_payload_is_within_the_contract() -> None:
    for codec in ("pcm16", "opus"):
        stage = open_encoder(EncoderConfig.model_validate({"codec": codec, "payload_ms": 1000, "bitrate_bps": 128_000}))
        assert max(len(payload.payload) for payload in payloads(stage, [40_000])) <= MAX_PAYLOAD_BYTES
