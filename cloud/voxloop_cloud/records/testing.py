"""What tests of records and of all that reads them share: utterances that never were, one or a hundred thousand."""

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from sqlalchemy import Engine, insert

from voxloop_cloud.feature_statistics import BANDS, FeatureSummary
from voxloop_cloud.records.heard import Heard
from voxloop_cloud.records.utterance import UtteranceRecord, make_record
from voxloop_cloud.store.tables import UTTERANCES
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.v1 import voxloop_pb2 as pb

NOON_S = 1_800_000_000.0
"""A moment, Unix seconds."""

BUNDLES = ("voxloop-default@0.2.2", "voxloop-default@0.3.0")
WORDS = ("turn", "the", "lights", "on", "off", "kitchen", "play", "next", "stop", "louder", "what", "time", "is", "it")


def some_hello(session_id: str = "s1", device_id: str = "kitchen", **consent: bool) -> pb.Hello:
    """A device that says all of itself. consent: keep_audio, keep_text, train; none unless said."""
    return pb.Hello(
        session_id=session_id,
        device_id=device_id,
        device_kind="raspberry-pi-5",
        app_version="voxloop-edge/0.1.0",
        locale="en-US",
        audio_format=pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ),
        vad=pb.VadSettings(kind="webrtc", version="2.0.14", threshold=2, frame_ms=20),
        padding=pb.PaddingSettings(before_ms=300, after_ms=300),
        normalization=pb.NormalizationSettings(enabled=True, target_dbfs=-23.0, max_gain_db=30.0),
        consent=pb.Consent(terms_version="2026-01", **consent),
    )


def some_heard(
    hello: pb.Hello,
    segment_id: int = 1,
    text: str = "turn the lights on",
    *,
    start_s: float = 0.0,
    duration_s: float = 1.5,
    arrived_s: float = NOON_S,
    failure: pb.Failure | None = None,
    seed: int = 0,
) -> Heard:
    """A segment that was heard, with its sound if the device lets it be kept. seed: of its sound."""
    start_sample, samples = round(start_s * SAMPLE_RATE_HZ), round(duration_s * SAMPLE_RATE_HZ)
    sketch = np.random.default_rng(seed).normal(-8.0, 3.0, (max(1, samples // 1280), BANDS)).astype(np.float32)
    sound = np.random.default_rng(seed).uniform(-0.1, 0.1, samples).astype(np.float32)
    report = pb.EdgeReport(raw_level_dbfs=-31.0, applied_gain_db=8.0, clipped_ratio=0.0, voiced_ratio=0.7, snr_db=24.0)
    report.timings.add(stage="vad", busy_ms=0.5)
    provenance = pb.Provenance(server_latency_ms=11.0)
    provenance.timings.add(stage="recognizer", busy_ms=6.0, wait_ms=1.0)
    return Heard(
        hello=hello,
        start=pb.SegmentStart(segment_id=segment_id, start_sample=start_sample, pre_roll_samples=4_800),
        end=pb.SegmentEnd(
            segment_id=segment_id,
            end_sample=start_sample + samples,
            last_voiced_sample=start_sample + samples - 4_800,
            reason=pb.END_REASON_SILENCE,
            report=report,
            sent_samples=samples,
        ),
        answer=failure or pb.Transcript(segment_id=segment_id, text=text, confidence=0.9, provenance=provenance),
        bundle=BUNDLES[0],
        route="primary",
        policy_version=None,
        arrived_s=arrived_s,
        received_samples=samples,
        level_dbfs=-24.0,
        features=FeatureSummary(len(sketch) * 8, -8.0, 3.0, sketch),
        sound=(sound,) if hello.consent.keep_audio else (),
    )


def many_records(count: int, seed: int = 0, days: float = 30.0) -> Iterator[UtteranceRecord]:
    """Records of many devices over some days before NOON_S, the oldest first, with all that may become of them."""
    choose = random.Random(seed)
    model = make_record(some_heard(some_hello(keep_text=True)))
    for number in range(count):
        text = " ".join(choose.choices(WORDS, k=choose.randint(0, 8)))
        outcome = choose.choices((None, "clicked", "corrected", "typed", "redone"), (80, 10, 4, 3, 3))[0]
        yield replace(
            model,
            session_id=f"session-{number // 20}",
            segment_id=number % 20 + 1,
            device_id=f"device-{choose.randrange(200)}",
            arrived_s=NOON_S - days * 86_400.0 * (1.0 - number / count),
            device_kind=choose.choice(("raspberry-pi-5", "linux-x86_64", "phone", "door")),
            vad_kind=choose.choice(("webrtc", "onnx")),
            app_version=f"voxloop-edge/0.{choose.randrange(4)}.0",
            locale=choose.choice(("en-US", "en-GB", "de-DE")),
            bundle=choose.choices(BUNDLES, (95, 5))[0],
            text=text,
            is_null=not text,
            word_count=len(text.split()),
            confidence=choose.random(),
            outcome=outcome,
            redo_probability=choose.choice((None, 0.02, 0.1, 0.9)),
            failure="model" if choose.random() < 0.01 else None,
        )


def fill(engine: Engine, records: Iterator[UtteranceRecord]) -> None:
    """Puts records into an empty database, quickly."""
    with engine.begin() as connection:
        connection.execute(insert(UTTERANCES), [record.to_row() for record in records])
