"""One row of the utterances: all that is known of a segment and its answer, in plain values."""

import math
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, TypeAlias

from voxloop_cloud.records.heard import Heard
from voxloop_proto.audio import samples_to_ms
from voxloop_proto.v1 import voxloop_pb2 as pb

Timings: TypeAlias = dict[str, tuple[float, float]]
"""By stage, the device's and the server's: busy and waiting time in ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceRecord:
    """The columns of `store.tables.UTTERANCES`, by their names there. None is what is not known; it is never 0.

    text: None without the device's consent to keep it; "" is a null transcript. clip: key in the clip store.
    """

    session_id: str
    segment_id: int
    device_id: str
    arrived_s: float
    device_kind: str
    app_version: str
    vad_kind: str
    vad_version: str
    vad_threshold: float | None
    locale: str
    keeps_audio: bool
    keeps_text: bool
    may_train: bool
    terms_version: str
    bundle: str
    route: str
    policy_version: int | None
    codec: str
    duration_ms: float
    start_sample: int
    raw_level_dbfs: float | None
    applied_gain_db: float | None
    clipped_ratio: float | None
    voiced_ratio: float | None
    snr_db: float | None
    level_dbfs: float | None
    padding_before_ms: float | None
    padding_after_ms: float | None
    pre_roll_ms: float | None
    after_voice_ms: float | None
    normalization_target_dbfs: float | None
    feature_mean: float | None
    feature_deviation: float | None
    text: str | None
    is_null: bool
    word_count: int
    confidence: float | None
    characters_per_s: float | None
    end_reason: str
    failure: str | None
    timings: Timings
    server_latency_ms: float | None
    outcome: str | None = None
    redone_in_segment: int | None = None
    redo_probability: float | None = None
    corrected_text: str | None = None
    clip: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What it is found by: session and segment."""
        return self.session_id, self.segment_id

    def to_row(self) -> dict[str, Any]:
        """Its columns and their values."""
        return dict(zip(COLUMNS, _values(self), strict=True))


COLUMNS: Final = tuple(field.name for field in fields(UtteranceRecord))
_values = attrgetter(*COLUMNS)


def make_record(heard: Heard, clip: str | None = None) -> UtteranceRecord:
    """The record of a segment. clip: key of its sound, if that is kept."""
    hello = heard.hello
    return UtteranceRecord(
        session_id=hello.session_id,
        segment_id=heard.start.segment_id,
        device_id=hello.device_id,
        arrived_s=heard.arrived_s,
        locale=_plain(hello.locale),
        device_kind=_plain(hello.device_kind),
        app_version=_plain(hello.app_version),
        keeps_audio=hello.consent.keep_audio,
        keeps_text=hello.consent.keep_text,
        may_train=hello.consent.train,
        terms_version=_plain(hello.consent.terms_version),
        bundle=heard.bundle,
        route=heard.route,
        policy_version=heard.policy_version,
        clip=clip,
        **_settings(hello),
        **_input(heard),
        **_measures(heard.end),
        **_output(heard),
    )


def _settings(hello: pb.Hello) -> dict[str, Any]:
    """How the device was set; None where it does not say."""
    has_vad, has_padding = hello.HasField("vad"), hello.HasField("padding")
    return {
        "vad_kind": _plain(hello.vad.kind),
        "vad_version": _plain(hello.vad.version),
        "vad_threshold": _finite(hello.vad.threshold) if has_vad else None,
        "padding_before_ms": float(hello.padding.before_ms) if has_padding else None,
        "padding_after_ms": float(hello.padding.after_ms) if has_padding else None,
        "normalization_target_dbfs": _finite(hello.normalization.target_dbfs) if hello.normalization.enabled else None,
        "codec": _name(pb.Codec.Name(hello.audio_format.codec), "CODEC_"),
    }


def _input(heard: Heard) -> dict[str, Any]:
    start, end, features = heard.start, heard.end, heard.features
    has_voice = end is not None and start.start_sample < end.last_voiced_sample <= end.end_sample
    return {
        "duration_ms": samples_to_ms(heard.received_samples),
        "start_sample": start.start_sample,
        "level_dbfs": _finite(heard.level_dbfs) if heard.received_samples else None,
        "pre_roll_ms": samples_to_ms(start.pre_roll_samples),
        "after_voice_ms": samples_to_ms(end.end_sample - end.last_voiced_sample) if end and has_voice else None,
        "feature_mean": _finite(features.mean) if features else None,
        "feature_deviation": _finite(features.deviation) if features else None,
        "end_reason": _name(pb.EndReason.Name(_known(end.reason, pb.EndReason)), "END_REASON_") if end else "",
    }


def _measures(end: pb.SegmentEnd | None) -> dict[str, Any]:
    """What the device measured; None where it sent no report."""
    names = ("raw_level_dbfs", "applied_gain_db", "clipped_ratio", "voiced_ratio", "snr_db")
    if end is None or not end.HasField("report"):
        return dict.fromkeys(names)
    return {name: _finite(getattr(end.report, name)) for name in names}


def _output(heard: Heard) -> dict[str, Any]:
    answer, timings = heard.answer, _timings(heard.end.report.timings) if heard.end else {}
    if isinstance(answer, pb.Failure):
        failure = _name(pb.FailureCode.Name(answer.code), "FAILURE_CODE_")
        unknown = dict.fromkeys(("text", "confidence", "characters_per_s", "server_latency_ms"))
        return unknown | {"is_null": False, "word_count": 0, "failure": failure, "timings": timings}
    text, seconds = _plain(answer.text), samples_to_ms(heard.received_samples) / 1000.0
    return {
        "text": text if heard.hello.consent.keep_text else None,
        "is_null": not text,
        "word_count": len(text.split()),
        "confidence": _finite(answer.confidence),
        "characters_per_s": len(text) / seconds if seconds else None,
        "failure": None,
        "timings": timings | _timings(answer.provenance.timings),
        "server_latency_ms": _finite(answer.provenance.server_latency_ms),
    }


def _timings(found: Any) -> Timings:
    return {
        _plain(each.stage): (round(each.busy_ms, 3), round(each.wait_ms, 3))
        for each in found
        if math.isfinite(each.busy_ms) and math.isfinite(each.wait_ms)
    }


def _finite(value: float) -> float | None:
    """A device may say anything; what is no number is not known."""
    return value if math.isfinite(value) else None


def _plain(text: str) -> str:
    """Without the one character that PostgreSQL takes in no text."""
    return text.replace("\x00", "")


def _known(value: int, kind: Any) -> Any:
    """A value of an enumeration; what a newer device says beyond it is unspecified."""
    return value if value in kind.values() else 0


def _name(name: str, prefix: str) -> str:
    """An enumeration's name as it stands in the tables."""
    short = name.removeprefix(prefix).lower()
    return "" if short == "unspecified" else short
