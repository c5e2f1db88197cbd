"""The device from end to end, without the network."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from voxloop_edge.manifest import read_clips
from voxloop_edge.pipeline import EdgeConfig, build_pipeline
from voxloop_edge.source import FileSource
from voxloop_proto.audio import Pcm, from_pcm16
from voxloop_proto.events import Chunk, EncodedEvent, EndReason, SegmentEnded, SegmentPayload, SegmentStarted
from voxloop_proto.stage import run
from voxloop_proto.telemetry import StageClock
from voxloop_proto.testing import assert_cut_independent, cut

SHARED = Path(os.environ.get("VOXLOOP_SHARED", Path(__file__).parents[3] / "shared")) / "data"
AS_RECORDED = EdgeConfig.model_validate({"normalizer": {"enabled": False}})
EVERYTHING = EdgeConfig.model_validate({"normalizer": {"enabled": False}, "vad": {"kind": "none"}})


def voice(seconds: float, pitch_hz: float = 140.0) -> Pcm:
    """Something that the webrtc VAD takes for speech."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * pitch_hz * number * time) / number for number in range(1, 25))
    return (0.05 * buzz * (1.2 + np.sin(2 * np.pi * 4 * time))).astype(np.float32)


def said_twice() -> Pcm:
    silence = np.zeros(16_000, np.float32)
    return np.concatenate((silence, voice(1.0), silence, voice(0.7), silence))


def essence(events: list[EncodedEvent]) -> list[object]:
    return [event for event in events if not isinstance(event, SegmentPayload)] + [
        (event.segment_id, event.payload) for event in events if isinstance(event, SegmentPayload)
    ]


def test_speech_comes_out_and_silence_does_not() -> None:
    events = list(run(build_pipeline(EdgeConfig()), cut(said_twice(), [1600])))
    starts = [event for event in events if isinstance(event, SegmentStarted)]
    ends = [event for event in events if isinstance(event, SegmentEnded)]
    assert len(starts) == len(ends) == 2
    assert starts[0].start_sample <= 16_000 - 4000
    assert 32_000 <= ends[0].end_sample <= 32_000 + 8000
    assert ends[0].reason is EndReason.SILENCE


@pytest.mark.parametrize("seconds", [0, 0.01, 20])
def test_silence_sends_not_a_byte(seconds: float) -> None:
    silence = np.zeros(int(seconds * 16_000), np.float32)
    assert list(run(build_pipeline(EdgeConfig()), cut(silence, [1600]))) == []


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 20_000), min_size=1, max_size=12).filter(any))
def test_the_output_does_not_depend_on_how_the_sound_was_cut(lengths: list[int]) -> None:
    assert_cut_independent(lambda: build_pipeline(EdgeConfig()), said_twice(), lengths, essence)


def test_without_a_vad_every_sample_comes_out() -> None:
    pcm = np.tile(said_twice(), 6)
    events = run(build_pipeline(EVERYTHING), cut(pcm, [999]))
    payload = b"".join(event.payload for event in events if isinstance(event, SegmentPayload))
    np.testing.assert_allclose(from_pcm16(payload), pcm, atol=1 / 32_768)


def test_payloads_of_a_segment_are_all_of_its_sound() -> None:
    for config in (AS_RECORDED, EdgeConfig(), EdgeConfig.model_validate({"encoder": {"codec": "opus"}})):
        events = list(run(build_pipeline(config), cut(said_twice(), [1600])))
        for started in (event for event in events if isinstance(event, SegmentStarted)):
            number = started.segment_id
            (ended,) = [e for e in events if isinstance(e, SegmentEnded) and e.segment_id == number]
            samples = sum(e.samples for e in events if isinstance(e, SegmentPayload) and e.segment_id == number)
            surplus = samples - (ended.end_sample - started.start_sample)
            assert surplus == 0 if config.encoder.codec == "pcm16" else 0 <= surplus < 320


def test_each_stage_is_timed_under_its_name() -> None:
    clock = StageClock()
    list(run(build_pipeline(EdgeConfig(), clock), cut(said_twice(), [1600])))
    timings = clock.take()
    assert [timing.stage for timing in timings] == ["framer", "vad", "segmenter", "normalizer", "encoder"]
    assert all(timing.busy_ms > 0 for timing in timings)


def test_after_a_flush_the_pipeline_is_as_new() -> None:
    pipeline = build_pipeline(EdgeConfig())
    chunks = cut(said_twice(), [1600])
    assert essence(list(run(pipeline, chunks))) == essence(list(run(pipeline, chunks)))


def test_minutes_of_noise_need_no_more_memory_than_seconds() -> None:
    import tracemalloc

    noise = np.random.default_rng(1).normal(0, 0.05, 1600).astype(np.float32)
    pipeline = build_pipeline(EdgeConfig())
    peaks = []
    for minutes in (1, 3):
        tracemalloc.start()
        for number in range(minutes * 600):
            pipeline.push(Chunk(number * 1600, noise * np.float32(1 + 0.5 * np.sin(number))))
        pipeline.flush()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000


def test_every_setting_says_what_it_is_and_unknown_ones_are_errors() -> None:
    def check(schema: dict[str, object]) -> None:
        assert all("description" in field for field in schema["properties"].values())  # type: ignore[attr-defined]

    schema = EdgeConfig.model_json_schema()
    check(schema)
    for part in schema["$defs"].values():
        check(part)
    with pytest.raises(ValidationError, match="vadd"):
        EdgeConfig.model_validate(json.loads('{"vadd": {}}'))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared speech sets (VOXLOOP_SHARED)")
def test_real_speech_is_kept_between_silences() -> None:
    clips = read_clips([SHARED / "speechocean762" / "train.jsonl"])
    random.Random(11).shuffle(clips)
    for clip in clips[:20]:
        pcm = np.concatenate([chunk.pcm for chunk in FileSource(clip.audio).chunks()])
        silence = np.random.default_rng(0).normal(0, 1e-4, 16_000).astype(np.float32)
        inside, start = np.zeros(len(pcm) + 32_000, bool), 0
        for event in run(build_pipeline(EdgeConfig()), cut(np.concatenate((silence, pcm, silence)), [1600])):
            if isinstance(event, SegmentStarted):
                start = event.start_sample
            elif isinstance(event, SegmentEnded):
                inside[start : event.end_sample] = True
        heard = inside[16_000:-16_000]
        kept = float(np.square(pcm[heard]).sum() / np.square(pcm).sum())
        assert kept > 0.995, clip.id
