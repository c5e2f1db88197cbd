"""The stages from microphone to transcript, and which figures tell how each one is. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from voxloop_cloud.alarms.rate import bucket_quantile, rate_per_s
from voxloop_cloud.alarms.series import History, since

WINDOW_S: Final = 120.0
"""What a figure covers."""

Reading = Callable[[History, float], float | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a stage. unit: ms, %, dB, /s, or nothing for a plain number."""

    stage: str
    name: str
    unit: str
    read: Reading


def _windows(
    history: History, name: str, at_s: float
) -> Iterator[tuple[dict[str, str], tuple[tuple[float, float], ...]]]:
    for labels, points in history.get(name, {}).items():
        if inside := since(points, at_s - WINDOW_S):
            yield dict(labels), inside


def _rate(name: str, history: History, at_s: float) -> float | None:
    rates = [rate_per_s(points, at_s, WINDOW_S) for _, points in _windows(history, name, at_s)]
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _quantile(quantile: float, metric: str, scale: float = 1.0) -> Reading:
    def read(history: History, at_s: float) -> float | None:
        bounds: dict[float, float] = {}
        for labels, points in _windows(history, f"{metric}_bucket", at_s):
            rate = rate_per_s(points, at_s, WINDOW_S)
            if rate is not None:
                bound = float(labels["le"])
                bounds[bound] = bounds.get(bound, 0.0) + rate
        found = bucket_quantile(quantile, bounds.items())
        return None if found is None else found * scale

    return read


def _per_s(metric: str) -> Reading:
    return lambda history, at_s: _rate(metric, history, at_s)


def _share(part: str, whole: str, scale: float = 100.0) -> Reading:
    def read(history: History, at_s: float) -> float | None:
        parts, wholes = _rate(part, history, at_s), _rate(whole, history, at_s)
        return scale * (parts or 0.0) / wholes if wholes else None

    return read


def _now(metric: str, scale: float = 1.0) -> Reading:
    def read(history: History, at_s: float) -> float | None:
        values = [points[-1][1] for _, points in _windows(history, metric, at_s)]
        return scale * sum(values) if values else None

    return read


def _busy(stage: str) -> tuple[Figure, ...]:
    metric = f"voxloop_{stage}_busy_seconds"
    return tuple(
        Figure(stage, f"busy, {name}", "ms", _quantile(quantile, metric, 1_000.0))
        for name, quantile in (("median", 0.5), ("p95", 0.95))
    )


FIGURES: Final[tuple[Figure, ...]] = (
    Figure("device", "CPU, p95", "%", _quantile(0.95, "voxloop_device_cpu_ratio", 100.0)),
    Figure("capture", "SNR, median", "dB", _quantile(0.5, "voxloop_capture_snr_db")),
    Figure("capture", "length, median", "s", _quantile(0.5, "voxloop_capture_segment_seconds")),
    *_busy("capture"),
    Figure("vad", "segments", "/s", _per_s("voxloop_vad_segments_total")),
    Figure("vad", "voiced, median", "%", _quantile(0.5, "voxloop_vad_voiced_ratio", 100.0)),
    *_busy("vad"),
    Figure("normalizer", "gain, median", "dB", _quantile(0.5, "voxloop_normalizer_gain_db")),
    Figure("normalizer", "level sent, median", "dBFS", _quantile(0.5, "voxloop_normalizer_sent_level_dbfs")),
    *_busy("normalizer"),
    Figure("uplink", "unanswered", "", _now("voxloop_uplink_unanswered_segments")),
    Figure("uplink", "on disks", "kB", _now("voxloop_uplink_spool_bytes", 1e-3)),
    *_busy("uplink"),
    Figure("queue", "wait, p95", "ms", _quantile(0.95, "voxloop_queue_wait_seconds", 1_000.0)),
    Figure("queue", "windows waiting", "", _now("voxloop_queue_waiting_windows")),
    Figure("features", "busy, p95", "ms", _quantile(0.95, "voxloop_features_busy_seconds", 1_000.0)),
    Figure("features", "busy, median", "ms", _quantile(0.5, "voxloop_features_busy_seconds", 1_000.0)),
    Figure(
        "recognizer",
        "CPU of sound",
        "%",
        _share("voxloop_recognizer_busy_seconds_sum", "voxloop_recognizer_audio_seconds_total"),
    ),
    *_busy("recognizer"),
    Figure(
        "decoder", "null", "%", _share("voxloop_decoder_null_transcripts_total", "voxloop_decoder_transcripts_total")
    ),
    Figure("decoder", "confidence, median", "", _quantile(0.5, "voxloop_decoder_confidence_ratio")),
    *_busy("decoder"),
    Figure("router", "latency, p95", "ms", _quantile(0.95, "voxloop_router_latency_seconds", 1_000.0)),
    Figure("router", "latency, median", "ms", _quantile(0.5, "voxloop_router_latency_seconds", 1_000.0)),
    Figure("router", "segments", "/s", _per_s("voxloop_router_segments_total")),
    Figure("router", "failed", "%", _share("voxloop_router_failures_total", "voxloop_router_segments_total")),
    Figure("outcome", "feedback", "/s", _per_s("voxloop_outcome_feedback_total")),
    Figure("server", "speaking", "", _now("voxloop_server_speaking_streams")),
    Figure("server", "sessions", "", _now("voxloop_server_open_sessions")),
    Figure("server", "memory", "MB", _now("voxloop_server_resident_bytes", 1e-6)),
    Figure("server", "loop lag, p95", "ms", _quantile(0.95, "voxloop_server_loop_lag_seconds", 1_000.0)),
)
"""A stage's first figure stands on the strip; all of them are on its own page."""


def figures_of(stage: str) -> tuple[Figure, ...]:
    """Those of one stage."""
    return tuple(figure for figure in FIGURES if figure.stage == stage)
