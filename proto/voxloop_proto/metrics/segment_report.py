"""The metrics of the device's stages, as each segment's report has them: the same at both ends."""

from collections.abc import Mapping
from typing import Final

from voxloop_proto.metrics.instruments import Series
from voxloop_proto.metrics.spec import LEVEL_DBFS, TENTHS, Label, MetricSpec, busy, counter, histogram
from voxloop_proto.v1 import voxloop_pb2 as pb

DEVICE: Final[tuple[Label, ...]] = ("vad_kind", "device_kind")


STRIP_STAGE: Final[Mapping[str, str]] = {
    "capture": "capture",
    "resampler": "capture",
    "framer": "capture",
    "vad": "vad",
    "segmenter": "vad",
    "normalizer": "normalizer",
    "encoder": "uplink",
    "uplink": "uplink",
}
"""By the name of a stage in a device's report: the one under which its time is counted."""

MEASURES: Final[Mapping[str, str]] = {
    "raw_level_dbfs": "voxloop_capture_raw_level_dbfs",
    "snr_db": "voxloop_capture_snr_db",
    "clipped_ratio": "voxloop_capture_clipped_ratio",
    "voiced_ratio": "voxloop_vad_voiced_ratio",
    "applied_gain_db": "voxloop_normalizer_gain_db",
}
"""By the field of EdgeReport: the histogram that it goes into."""

END_REASONS: Final[Mapping[int, str]] = {
    pb.END_REASON_SILENCE: "silence",
    pb.END_REASON_MAX_LENGTH: "max_length",
    pb.END_REASON_END_OF_STREAM: "end_of_stream",
}

REPORT_METRICS: Final[tuple[MetricSpec, ...]] = (
    busy("capture", "Time that the device spent on a segment in resampling and framing", DEVICE),
    histogram(
        "voxloop_capture_segment_seconds",
        "s",
        "Length of a segment",
        DEVICE,
        (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0),
    ),
    histogram(
        "voxloop_capture_raw_level_dbfs",
        "dBFS",
        "Level of speech as recorded, before any gain",
        DEVICE,
        LEVEL_DBFS,
        -200.0,
        10.0,
    ),
    histogram(
        "voxloop_capture_snr_db",
        "dB",
        "Level of speech over that of the background before it",
        DEVICE,
        (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0),
        -200.0,
        200.0,
    ),
    histogram(
        "voxloop_capture_clipped_ratio",
        "ratio",
        "Share of a segment's samples at full scale, as recorded",
        DEVICE,
        (0.0, 0.00001, 0.0001, 0.001, 0.01, 0.1),
        0.0,
        1.0,
    ),
    counter(
        "voxloop_capture_missing_values_total",
        "values",
        "Measures that a device did not report, or that no device can measure; code: which",
        (*DEVICE, "code"),
        tuple(MEASURES),
    ),
    busy("vad", "Time that the device spent on a segment in the VAD and the segmenter", DEVICE),
    histogram("voxloop_vad_voiced_ratio", "ratio", "Share of a segment judged as speech", DEVICE, TENTHS, 0.0, 1.0),
    counter(
        "voxloop_vad_segments_total",
        "segments",
        "Segments by what ended them; code: silence, max_length, end_of_stream",
        (*DEVICE, "code"),
        tuple(END_REASONS.values()),
    ),
    busy("normalizer", "Time that the device spent on a segment in the normalizer", DEVICE),
    histogram(
        "voxloop_normalizer_gain_db",
        "dB",
        "Gain at a segment's end",
        DEVICE,
        (-20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0),
        -200.0,
        200.0,
    ),
    busy("uplink", "Time that the device spent on a segment in the encoder", DEVICE),
)


def observe_report(series: Series, end: pb.SegmentEnd, segment_s: float) -> None:
    """Counts what a device says of a segment. series: of the device's labels. segment_s: the segment's length."""
    series.observe("voxloop_capture_segment_seconds", segment_s)
    series.count("voxloop_vad_segments_total", code=END_REASONS.get(end.reason, ""))
    has_report = end.HasField("report")
    for field, name in MEASURES.items():
        if not (has_report and series.observe(name, getattr(end.report, field))):
            series.count("voxloop_capture_missing_values_total", code=field)
    busy_ms: dict[str, float] = {}
    for timing in end.report.timings:
        stage = STRIP_STAGE.get(timing.stage)
        if stage is not None:
            busy_ms[stage] = busy_ms.get(stage, 0.0) + timing.busy_ms
    for stage, total_ms in busy_ms.items():
        series.observe(f"voxloop_{stage}_busy_seconds", total_ms / 1000.0)
