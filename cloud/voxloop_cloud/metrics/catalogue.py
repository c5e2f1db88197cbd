"""Every metric of the server, by name: what the dashboard, the alarms and the documentation may speak of."""

from typing import Final

from voxloop_proto.errors import ERROR_TABLE
from voxloop_proto.metrics.segment_report import DEVICE, REPORT_METRICS
from voxloop_proto.metrics.spec import (
    LATENCY_S,
    LEVEL_DBFS,
    TENTHS,
    Label,
    MetricSpec,
    busy,
    counter,
    gauge,
    histogram,
)
from voxloop_proto.v1 import voxloop_pb2 as pb

ANSWER: Final[tuple[Label, ...]] = ("bundle", "route")
ALL: Final[tuple[Label, ...]] = (*ANSWER, *DEVICE)


def code_name(code: pb.FailureCode.ValueType) -> str:
    """A FailureCode as the label `code` has it: overload, contract and so on; empty for one of a newer schema."""
    return pb.FailureCode.Name(code).removeprefix("FAILURE_CODE_").lower() if code in pb.FailureCode.values() else ""


FAILURES: Final = tuple(code_name(row.code) for row in ERROR_TABLE)
FEEDBACK: Final = ("redone", "typed", "clicked", "corrected", "redo_detected")
"""What became of a text: told by the device, save the last, which the server finds by itself."""

SHADOWS: Final = ("heard", "dropped", "failed")

_HEARTBEATS: Final = (
    histogram(
        "voxloop_device_cpu_ratio",
        "ratio",
        "Share of one core that a device used between two heartbeats",
        DEVICE,
        (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        0.0,
        1_024.0,
    ),
    histogram(
        "voxloop_device_resident_bytes",
        "bytes",
        "Memory of a device's process, at each heartbeat",
        DEVICE,
        (32e6, 64e6, 96e6, 128e6, 192e6, 256e6, 512e6, 1e9),
        0.0,
        1e13,
    ),
    counter("voxloop_capture_lost_seconds_total", "s", "Sound that microphones lost before it could be taken", DEVICE),
    counter("voxloop_uplink_dropped_segments_total", "segments", "Segments that devices had no more room for", DEVICE),
    counter("voxloop_uplink_dropped_seconds_total", "s", "Sound in segments that devices had no more room for", DEVICE),
    gauge("voxloop_uplink_unanswered_segments", "segments", "Segments kept by open sessions until they are answered"),
    gauge("voxloop_uplink_spool_bytes", "bytes", "Segments on the disks of devices with an open session"),
)

_SEGMENTS: Final = (
    histogram(
        "voxloop_capture_background_dbfs",
        "dBFS",
        "Level of the sound before speech, as recorded",
        DEVICE,
        LEVEL_DBFS,
        -200.0,
        10.0,
    ),
    histogram(
        "voxloop_normalizer_sent_level_dbfs",
        "dBFS",
        "Level of a segment as it arrived",
        DEVICE,
        LEVEL_DBFS,
        -200.0,
        10.0,
    ),
    histogram(
        "voxloop_queue_wait_seconds",
        "s",
        "Time that a segment's windows waited for the recognition thread, in all",
        ANSWER,
        LATENCY_S,
    ),
    gauge("voxloop_queue_waiting_windows", "windows", "Windows that wait for the recognition thread"),
    busy("features", "Time for the features of a segment", ANSWER),
    histogram(
        "voxloop_features_mean_log_mel",
        "log_mel",
        "Mean of a segment's log-mel energies over frames and bins",
        ANSWER,
        (-16.0, -14.0, -12.0, -11.0, -10.0, -9.0, -8.0, -7.0, -6.0, -5.0, -4.0, -2.0, 0.0),
        -1_000.0,
        1_000.0,
    ),
    histogram(
        "voxloop_features_deviation_log_mel",
        "log_mel",
        "Standard deviation of a segment's log-mel energies over frames and bins",
        ANSWER,
        (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0),
        0.0,
        1_000.0,
    ),
    busy("recognizer", "A segment's share of the time of its batches in the model", ANSWER),
    counter("voxloop_recognizer_audio_seconds_total", "s", "Sound that became transcripts", ANSWER),
    busy("decoder", "Time that a segment's decoding took", ANSWER),
    counter("voxloop_decoder_transcripts_total", "transcripts", "Segments answered by a transcript", ALL),
    counter("voxloop_decoder_null_transcripts_total", "transcripts", "Transcripts without a word", ALL),
    histogram("voxloop_decoder_confidence_ratio", "ratio", "Confidence of a transcript", ANSWER, TENTHS, 0.0, 1.0),
    histogram(
        "voxloop_decoder_characters_per_second",
        "1/s",
        "Characters of a transcript by the segment's length",
        ANSWER,
        (1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0),
        0.0,
        10_000.0,
    ),
    histogram(
        "voxloop_decoder_segment_words",
        "words",
        "Words of a transcript",
        ANSWER,
        (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0, 60.0),
        0.0,
        100_000.0,
    ),
    busy("router", "Time that the choice of a segment's bundle took", ANSWER),
    counter("voxloop_router_segments_total", "segments", "Segments answered, by transcript or failure", ANSWER),
    counter(
        "voxloop_router_failures_total",
        "failures",
        "Segments answered by a failure; code: as in the contract",
        (*ANSWER, "code"),
        FAILURES,
    ),
    histogram(
        "voxloop_router_latency_seconds",
        "s",
        "From the arrival of a segment's end to its transcript, all stages together",
        ANSWER,
        LATENCY_S,
    ),
    counter(
        "voxloop_router_shadows_total",
        "shadows",
        "Copies of segments for bundles in shadow; code: heard, dropped for want of room, failed",
        ("bundle", "code"),
        SHADOWS,
    ),
    counter(
        "voxloop_outcome_feedback_total",
        "feedback",
        "What became of texts; code: redone, typed, clicked, corrected, as devices say; redo_detected: by the server",
        (*ANSWER, "code"),
        FEEDBACK,
    ),
)

_SERVER: Final = (
    gauge("voxloop_server_open_sessions", "sessions", "Sessions that are open"),
    gauge("voxloop_server_most_sessions", "sessions", "Open sessions beyond which others are refused"),
    gauge("voxloop_server_speaking_streams", "streams", "Devices that speak, or did a moment ago"),
    gauge("voxloop_server_most_streams", "streams", "Devices that may speak at once, as calibrated; 0: no limit known"),
    counter("voxloop_server_sessions_total", "sessions", "Sessions that were opened"),
    counter(
        "voxloop_server_refused_sessions_total",
        "sessions",
        "Sessions that were refused or broken off; code: as in the contract",
        ("code",),
        FAILURES,
    ),
    counter("voxloop_server_dropped_records_total", "records", "Records of utterances that the store was too slow for"),
    histogram(
        "voxloop_server_loop_lag_seconds",
        "s",
        "How late the event loop was for a timer, once a second",
        (),
        (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0),
    ),
    counter("voxloop_server_cpu_seconds_total", "s", "CPU time of all workers, and of those before them"),
    gauge("voxloop_server_resident_bytes", "bytes", "Memory of all workers; what they share counts in each"),
    gauge("voxloop_server_workers", "workers", "Processes that serve"),
)

SERVER_METRICS: Final[tuple[MetricSpec, ...]] = (*REPORT_METRICS, *_HEARTBEATS, *_SEGMENTS, *_SERVER)
