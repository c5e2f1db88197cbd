"""What a replay measured: per segment, per utterance, in all, and by slice. Written as JSON."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from voxloop_edge.report_file import write_report_file
from voxloop_proto.scoring import Score, score

MOST_SLICES_OF_A_TAG = 50


class StageTime(BaseModel):
    """Time of one stage on one segment."""

    model_config = ConfigDict(frozen=True)

    busy_ms: float
    wait_ms: float = 0.0


class WordReport(BaseModel):
    """One word; times in seconds from the start of the audio."""

    model_config = ConfigDict(frozen=True)

    text: str
    start_s: float
    end_s: float
    confidence: float


class SegmentReport(BaseModel):
    """One segment and its transcript; times in seconds from the start of the audio."""

    model_config = ConfigDict(frozen=True)

    segment_id: int
    start_s: float
    end_s: float
    last_voiced_s: float
    reason: str
    text: str
    confidence: float
    words: list[WordReport]
    latency_ms: float
    user_latency_ms: float
    server_latency_ms: float
    raw_level_dbfs: float
    applied_gain_db: float
    snr_db: float
    stages: dict[str, StageTime]
    provenance: str


class UtteranceReport(BaseModel):
    """One clip through the whole path.

    edge_cpu_s: of the edge's stages, from decoding the file to encoding the sound; the gRPC client is not in it.
    error: why it could not be replayed to its end.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    audio: str
    text: str
    reference: str | None
    wer: float | None
    audio_s: float
    speech_s: float
    sent_bytes: int
    audio_bytes: int
    edge_cpu_s: float
    connections: int
    segments: list[SegmentReport]
    tags: dict[str, str | float]
    error: str | None = None


class Percentiles(BaseModel):
    """Of a latency, in ms; None where nothing was measured."""

    model_config = ConfigDict(frozen=True)

    p50: float | None
    p95: float | None
    p99: float | None


class StageSummary(BaseModel):
    """Time of one stage per segment."""

    model_config = ConfigDict(frozen=True)

    median_ms: float
    p95_ms: float
    total_ms: float
    median_wait_ms: float


class Totals(BaseModel):
    """All utterances together.

    real_time_factor: wall time of the replay by the audio's length (with --realtime it says nothing).
    latency_ms: from the sending of a segment's end to the arrival of its transcript.
    user_latency_ms: the same from the last voiced sample.
    edge_cpu_s_per_audio_s: of the edge's stages, decoding and resampling included, without the gRPC client.
    server_cpu_s_per_audio_s: of the server's whole process; None if it could not be asked before and after.
    uplink_bits_per_s: bits sent by second of audio, silence included; plain PCM16 would be 256,000.
    """

    model_config = ConfigDict(frozen=True)

    utterances: int
    failed: int
    segments: int
    null_transcripts: int
    wer: float | None
    cer: float | None
    clips_right_ratio: float | None
    words: int
    audio_s: float
    speech_s: float
    sent_bytes: int
    audio_bytes: int
    plain_pcm16_bytes: int
    uplink_bits_per_s: float | None
    latency_ms: Percentiles
    user_latency_ms: Percentiles
    real_time_factor: float | None
    edge_cpu_s_per_audio_s: float | None
    server_cpu_s_per_audio_s: float | None
    wall_s: float
    stages: dict[str, StageSummary]


class SliceReport(BaseModel):
    """The utterances that share one value of one tag."""

    model_config = ConfigDict(frozen=True)

    tag: str
    value: str
    utterances: int
    words: int
    wer: float | None
    cer: float | None


class ReplayReport(BaseModel):
    """All that a replay measured, and what it was measured on."""

    model_config = ConfigDict(frozen=True)

    voxloop_version: str
    started: str
    machine: str
    server: str
    bundle: str
    realtime: bool
    concurrency: int
    complete: bool
    totals: Totals
    slices: list[SliceReport]
    utterances: list[UtteranceReport]

    def write(self, file: Path) -> None:
        """Writes the report as JSON, whole or not at all."""
        write_report_file(file, self.model_dump_json(indent=1) + "\n")


def score_utterances(utterances: Iterable[UtteranceReport]) -> Score:
    """Errors over the utterances that have a reference and no error."""
    scored = [u for u in utterances if u.reference is not None and u.error is None]
    return score([u.reference or "" for u in scored], [u.text for u in scored])


def summarize(
    utterances: Sequence[UtteranceReport], wall_s: float, server_cpu_s: float | None, realtime: bool
) -> Totals:
    """The totals of a replay."""
    segments = [segment for utterance in utterances for segment in utterance.segments]
    errors = score_utterances(utterances)
    audio_s = sum(u.audio_s for u in utterances)
    sent_bytes = sum(u.sent_bytes for u in utterances)

    def per_audio_s(value: float) -> float | None:
        return value / audio_s if audio_s else None

    return Totals(
        utterances=len(utterances),
        failed=sum(u.error is not None for u in utterances),
        segments=len(segments),
        null_transcripts=sum(not segment.text for segment in segments),
        wer=errors.wer,
        cer=errors.cer,
        clips_right_ratio=errors.clips_right_ratio,
        words=errors.words,
        audio_s=audio_s,
        speech_s=sum(u.speech_s for u in utterances),
        sent_bytes=sent_bytes,
        audio_bytes=sum(u.audio_bytes for u in utterances),
        plain_pcm16_bytes=round(audio_s * 32_000),
        uplink_bits_per_s=per_audio_s(sent_bytes * 8.0),
        latency_ms=percentiles([segment.latency_ms for segment in segments]),
        user_latency_ms=percentiles([segment.user_latency_ms for segment in segments]),
        real_time_factor=None if realtime else per_audio_s(wall_s),
        edge_cpu_s_per_audio_s=per_audio_s(sum(u.edge_cpu_s for u in utterances)),
        server_cpu_s_per_audio_s=None if server_cpu_s is None else per_audio_s(server_cpu_s),
        wall_s=wall_s,
        stages=summarize_stages(segments),
    )


def percentiles(values: Sequence[float]) -> Percentiles:
    """The 50th, 95th and 99th percentile."""
    if not values:
        return Percentiles(p50=None, p95=None, p99=None)
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return Percentiles(p50=float(p50), p95=float(p95), p99=float(p99))


def summarize_stages(segments: Iterable[SegmentReport]) -> dict[str, StageSummary]:
    """Time per segment of each stage, in the order in which sound passes them."""
    times: dict[str, list[StageTime]] = defaultdict(list)
    for segment in segments:
        for stage, time in segment.stages.items():
            times[stage].append(time)
    return {stage: _summarize_stage(found) for stage, found in times.items()}


def _summarize_stage(times: Sequence[StageTime]) -> StageSummary:
    busy_ms = [time.busy_ms for time in times]
    return StageSummary(
        median_ms=float(np.median(busy_ms)),
        p95_ms=float(np.percentile(busy_ms, 95)),
        total_ms=math.fsum(busy_ms),
        median_wait_ms=float(np.median([time.wait_ms for time in times])),
    )


def slice_by_tags(utterances: Sequence[UtteranceReport]) -> list[SliceReport]:
    """Errors by every value of every tag; tags with too many values (ids, say) are left out."""
    by_tag: dict[str, dict[str, list[UtteranceReport]]] = defaultdict(lambda: defaultdict(list))
    for utterance in utterances:
        for tag, value in utterance.tags.items():
            by_tag[tag][bin_tag(value)].append(utterance)
    return [
        _slice(tag, value, members)
        for tag, values in by_tag.items()
        if len(values) <= MOST_SLICES_OF_A_TAG
        for value, members in sorted(values.items())
    ]


def bin_tag(value: str | float) -> str:
    """The slice that a tag's value belongs to: numbers by their whole part."""
    return value if isinstance(value, str) else f"{math.floor(value)} to {math.floor(value) + 1}"


def _slice(tag: str, value: str, members: Sequence[UtteranceReport]) -> SliceReport:
    errors = score_utterances(members)
    return SliceReport(
        tag=tag, value=value, utterances=len(members), words=errors.words, wer=errors.wer, cer=errors.cer
    )
