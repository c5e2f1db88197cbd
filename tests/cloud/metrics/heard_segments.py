"""Segments that were answered, as a session tells of them."""

import numpy as np

from voxloop_cloud.feature_statistics import BANDS, FeatureSummary
from voxloop_cloud.records.heard import Heard
from voxloop_proto.v1 import voxloop_pb2 as pb

SAMPLES = 32_000


def heard(
    text: str = "play jazz",
    *,
    device_kind: str = "raspberry-pi-5",
    vad_kind: str = "webrtc",
    bundle: str = "small@1",
    failure: "pb.FailureCode.ValueType | None" = None,
    route: str = "primary",
    report: pb.EdgeReport | None = None,
) -> Heard:
    """Two seconds of speech, all of it known."""
    answer: pb.Transcript | pb.Failure = pb.Transcript(
        segment_id=1,
        text=text,
        confidence=0.75,
        provenance=pb.Provenance(
            server_latency_ms=12.0,
            timings=[
                pb.StageTiming(stage="router", busy_ms=0.0625),
                pb.StageTiming(stage="features", busy_ms=2.0),
                pb.StageTiming(stage="recognizer", busy_ms=20.0, wait_ms=4.0),
                pb.StageTiming(stage="decoder", busy_ms=3.0),
            ],
        ),
    )
    if failure is not None:
        answer = pb.Failure(segment_id=1, code=failure)
    return Heard(
        hello=pb.Hello(
            device_id="kitchen", session_id="s1", device_kind=device_kind, vad=pb.VadSettings(kind=vad_kind)
        ),
        start=pb.SegmentStart(segment_id=1, raw_level_dbfs=-62.0),
        end=pb.SegmentEnd(
            segment_id=1,
            end_sample=SAMPLES,
            reason=pb.END_REASON_SILENCE,
            report=full_report() if report is None else report,
        ),
        answer=answer,
        bundle=bundle,
        route=route,
        policy_version=None,
        arrived_s=1.8e9,
        received_samples=SAMPLES,
        level_dbfs=-23.0,
        features=FeatureSummary(200, -7.5, 3.25, np.zeros((25, BANDS), np.float32)),
    )


def full_report() -> pb.EdgeReport:
    """What a device of today reports."""
    return pb.EdgeReport(
        raw_level_dbfs=-31.0,
        applied_gain_db=8.0,
        clipped_ratio=0.0,
        voiced_ratio=0.7,
        snr_db=28.0,
        timings=[
            pb.StageTiming(stage="framer", busy_ms=0.25),
            pb.StageTiming(stage="vad", busy_ms=1.0),
            pb.StageTiming(stage="segmenter", busy_ms=0.5),
            pb.StageTiming(stage="normalizer", busy_ms=0.75),
            pb.StageTiming(stage="encoder", busy_ms=0.125),
        ],
    )
