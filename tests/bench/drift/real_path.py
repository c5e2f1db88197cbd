"""A device's session through the real stages: the edge's pipeline, then the features, the model and the decoder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from tests.bench.drift.crowd import Device
from tests.bench.drift.injection import Injection, gained

from voxloop_cloud.features import FeatureStream
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.manifest import Clip
from voxloop_edge.pipeline import build_pipeline
from voxloop_edge.source import FileSource
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, from_pcm16, level_dbfs, samples_to_ms
from voxloop_proto.config import read_settings
from voxloop_proto.events import Chunk, EncodedEvent, SegmentEnded, SegmentPayload, SegmentStarted
from voxloop_proto.scoring import score
from voxloop_proto.stage import run

GAP_SAMPLES: Final = round(1.2 * SAMPLE_RATE_HZ)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A clip's place in its session, in samples."""

    clip: Clip
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Session:
    """What the microphone hears, (N,) float32, and where the clips are in it."""

    pcm: Pcm
    spoken: Sequence[Spoken]


def make_session(device: Device, injection: Injection, noise: Pcm) -> Session:
    """The device's clips, 1.2 s apart, in its room, through its microphone, with the change."""
    parts: list[Pcm] = [np.zeros(GAP_SAMPLES, np.float32)]
    spoken: list[Spoken] = []
    for clip in device.clips:
        sound = injection.of_clip(np.concatenate([chunk.pcm for chunk in FileSource(clip.audio).chunks()]))
        start = sum(map(len, parts))
        spoken.append(Spoken(clip, start, start + len(sound)))
        parts += [sound, np.zeros(GAP_SAMPLES, np.float32)]
    heard = np.concatenate(parts)
    room = np.random.default_rng(device.seed).standard_normal(len(heard)).astype(np.float32)
    heard += room * np.float32(10 ** (device.room_dbfs / 20))
    return Session(injection.of_session(gained(heard, device.gain_db), noise), spoken)


def recognise_session(device: Device, injection: Injection, noise: Pcm, recognizer: Recognizer) -> list[Row]:
    """A row of UTTERANCES for each segment that the device sent."""
    session = make_session(device, injection, noise)
    settings = read_settings(DeviceConfig, flags=dict(injection.settings))
    pipeline = build_pipeline(settings)
    step = SAMPLE_RATE_HZ // 5
    chunks = (Chunk(at, session.pcm[at : at + step]) for at in range(0, len(session.pcm), step))
    rows = [_row(segment, recognizer) for segment in _segments(run(pipeline, chunks))]
    hello = make_hello(settings, device.id)
    shared: Row = {
        "device_id": device.id,
        "arrived_s": 0.0,  # streams.py says when
        "device_kind": device.kind,
        "app_version": hello.app_version,
        "locale": hello.locale,
        "vad_kind": hello.vad.kind,
        "vad_version": hello.vad.version,
        "vad_threshold": hello.vad.threshold,
        "padding_before_ms": float(hello.padding.before_ms),
        "padding_after_ms": float(hello.padding.after_ms),
        "normalization_target_dbfs": hello.normalization.target_dbfs,
        "codec": "pcm16",
        "bundle": f"{recognizer.bundle.config.name}@{recognizer.bundle.config.version}",
    }
    _score(rows, session.spoken)
    return [{**shared, **row} for row in rows]


@dataclass(frozen=True, slots=True)
class _Segment:
    started: SegmentStarted
    ended: SegmentEnded
    pcm: Pcm
    gain_db: float


def _segments(events: Iterator[EncodedEvent]) -> Iterator[_Segment]:
    payloads: list[SegmentPayload] = []
    for event in events:
        match event:
            case SegmentStarted():
                started, payloads = event, []
            case SegmentPayload():
                payloads.append(event)
            case SegmentEnded():
                pcm = np.concatenate([from_pcm16(each.payload) for each in payloads])
                yield _Segment(started, event, pcm, payloads[-1].gain_db)


def _row(segment: _Segment, recognizer: Recognizer) -> Row:
    decoded = transcribe(recognizer, segment.pcm)
    features = FeatureStream(recognizer.bundle.config.features)
    features.push(segment.pcm)
    frames = recognizer.bundle.config.features.frames_in(len(segment.pcm))
    features.finish(frames)
    log_mel = features.window(0, frames)
    duration_ms = samples_to_ms(len(segment.pcm))
    measures = segment.ended.measures
    return {
        "start_sample": segment.started.start_sample,
        "duration_ms": duration_ms,
        "raw_level_dbfs": measures.raw_level_dbfs,
        "applied_gain_db": segment.gain_db,
        "clipped_ratio": measures.clipped_ratio,
        "voiced_ratio": measures.voiced_ratio,
        "snr_db": measures.snr_db,
        "level_dbfs": level_dbfs(segment.pcm),
        "feature_mean": float(log_mel.mean()),
        "feature_deviation": float(log_mel.std()),
        "text": decoded.text,
        "is_null": not decoded.text,
        "word_count": len(decoded.words),
        "confidence": decoded.confidence,
        "characters_per_s": len(decoded.text) / duration_ms * 1000.0,
        "failure": None,
        "word_error_rate": None,
    }


def _score(rows: list[Row], spoken: Sequence[Spoken]) -> None:
    """Word errors of each clip, at the first of its segments; a clip without one cannot be labelled."""
    for each in spoken:
        mine = [row for row in rows if each.start - GAP_SAMPLES // 2 <= row["start_sample"] < each.end]
        if mine:
            heard = " ".join(row["text"] for row in mine)
            mine[0]["word_error_rate"] = score([each.clip.text or ""], [heard]).wer
