"""The page of one utterance: sound, text, what other bundles heard, the time of each stage; label, tag, review."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from voxloop_cloud.console.annotations import add_label, add_tag, missing, read_annotations, remove_tag
from voxloop_cloud.console.byte_range import ranged
from voxloop_cloud.console.page import Ask, back_to, page
from voxloop_cloud.console.sound_picture import COLUMNS, seconds, spectrogram_png, waveform_path
from voxloop_cloud.console.word_diff import word_diff
from voxloop_cloud.records.clip import from_flac
from voxloop_cloud.records.queries import StoredUtterance, find_one
from voxloop_cloud.records.utterance import UtteranceRecord
from voxloop_cloud.rollout.review import Request as ReviewRequest
from voxloop_proto.errors import ConfigError, DataError

REVIEW_S: Final = 7 * 86_400.0
STAGE_ORDER: Final = (
    *("capture", "resampler", "framer", "vad", "segmenter", "normalizer", "encoder", "uplink"),
    *("queue", "features", "recognizer", "decoder", "router"),
)
_DEVICE_STAGES: Final = frozenset(STAGE_ORDER[:8])


@dataclass(frozen=True, slots=True)
class StageTime:
    """One row of the bar. busy, wait: parts of the longest stage's whole, 0 to 100."""

    stage: str
    where: str
    busy_ms: float
    wait_ms: float
    busy: float
    wait: float


def stage_times(timings: Mapping[str, Any]) -> tuple[StageTime, ...]:
    """The stages in the order in which sound passes them; unknown ones last."""
    order = {stage: place for place, stage in enumerate(STAGE_ORDER)}
    known = sorted(timings.items(), key=lambda each: (order.get(each[0], len(order)), each[0]))
    longest = max((busy + wait for _, (busy, wait) in known), default=0.0) or 1.0
    return tuple(
        StageTime(
            stage,
            "device" if stage in _DEVICE_STAGES else "server",
            busy,
            wait,
            100 * busy / longest,
            100 * wait / longest,
        )
        for stage, (busy, wait) in known
    )


def facts(record: UtteranceRecord) -> tuple[tuple[str, tuple[tuple[str, Any, str], ...]], ...]:
    """What is known of the sound and the text: groups of name, value, unit."""
    return (
        (
            "sound",
            (
                ("length", record.duration_ms, "ms"),
                ("level as recorded", record.raw_level_dbfs, "dBFS"),
                ("gain", record.applied_gain_db, "dB"),
                ("level as sent", record.level_dbfs, "dBFS"),
                ("SNR", record.snr_db, "dB"),
                ("voiced", _percent(record.voiced_ratio), "%"),
                ("clipped", _percent(record.clipped_ratio), "%"),
                ("before voice", record.pre_roll_ms, "ms"),
                ("after voice", record.after_voice_ms, "ms"),
                ("features, mean", record.feature_mean, ""),
                ("features, deviation", record.feature_deviation, ""),
            ),
        ),
        (
            "text",
            (
                ("confidence", _percent(record.confidence), "%"),
                ("words", record.word_count, ""),
                ("characters", record.characters_per_s, "/s"),
                ("ended by", record.end_reason or None, ""),
                ("latency", record.server_latency_ms, "ms"),
                ("said again", _percent(record.redo_probability), "%"),
            ),
        ),
        (
            "device",
            (
                ("device", record.device_id, ""),
                ("kind", record.device_kind or None, ""),
                ("program", record.app_version or None, ""),
                ("VAD", f"{record.vad_kind} {record.vad_version}".strip() or None, ""),
                ("locale", record.locale or None, ""),
                ("codec", record.codec or None, ""),
                ("keeps", ", ".join(_consent(record)) or "numbers only", ""),
                ("policy", record.policy_version, ""),
                ("session", record.session_id, ""),
                ("segment", record.segment_id, ""),
            ),
        ),
    )


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else 100.0 * ratio


def _consent(record: UtteranceRecord) -> list[str]:
    kinds = (("sound", record.keeps_audio), ("text", record.keeps_text), ("for training", record.may_train))
    return [name for name, is_given in kinds if is_given]


def _found(ask: Ask) -> StoredUtterance:
    utterance_id: int = ask.path["utterance_id"]
    found = find_one(ask.sources.engine, utterance_id) if utterance_id < 1 << 62 else None
    if found is None:
        raise missing(utterance_id)
    return found


def _show(ask: Ask) -> Response:
    utterance = _found(ask)
    record, notes = utterance.record, read_annotations(ask.sources.engine, utterance.id)
    told = record.text or ""
    others = [(other, word_diff(told, other.text) if other.text is not None else None) for other in notes.others]
    label = notes.labels[0].text if notes.labels else record.corrected_text
    return ask.show(
        "utterance.html",
        utterance=utterance,
        record=record,
        notes=notes,
        others=others,
        labelled=word_diff(told, label) if label is not None else None,
        label=label,
        stages=stage_times(record.timings),
        facts=facts(record),
    )


def _sound(ask: Ask) -> Response:
    """The waveform, the spectrogram and the player, once the page is there."""
    utterance = _found(ask)
    pcm = from_flac(_clip(ask, utterance))
    return ask.show("sound.html", id=utterance.id, path=waveform_path(pcm), columns=COLUMNS, length_s=seconds(pcm))


def _spectrogram(ask: Ask) -> Response:
    return Response(spectrogram_png(from_flac(_clip(ask, _found(ask)))), media_type="image/png")


def _flac(ask: Ask) -> Response:
    return ranged(_clip(ask, _found(ask)), "audio/flac", ask.headers.get("range"))


def _clip(ask: Ask, utterance: StoredUtterance) -> bytes:
    key = utterance.record.clip
    if key is None or ask.sources.clips is None:
        raise DataError("the sound of this utterance is not kept: its device does not let it be, or there was no room")
    return ask.sources.clips.get(key)


def _label(ask: Ask) -> Response:
    utterance_id = _found(ask).id
    add_label(ask.sources.engine, utterance_id, ask.form.get("text", ""), ask.user.name, ask.sources.now_s())
    return back_to(f"/utterances/{utterance_id}")


def _tag(ask: Ask) -> Response:
    utterance_id = _found(ask).id
    add_tag(ask.sources.engine, utterance_id, ask.form.get("tag", "").strip(), ask.user.name, ask.sources.now_s())
    return back_to(f"/utterances/{utterance_id}")


def _untag(ask: Ask) -> Response:
    utterance_id = _found(ask).id
    remove_tag(ask.sources.engine, utterance_id, ask.form.get("tag", ""))
    return back_to(f"/utterances/{utterance_id}")


def _review(ask: Ask) -> Response:
    """Puts the utterance into the queue of reviews."""
    record, now_s = _found(ask).record, ask.sources.now_s()
    if record.clip is None or not record.keeps_text:
        raise ConfigError("nobody could review it: its device does not let both sound and text be kept")
    reason = f"asked by {ask.user.name}"
    wanted = ReviewRequest(record.session_id, record.segment_id, reason, record.text, False, now_s + REVIEW_S)
    ask.sources.reviews.ask(wanted, now_s)
    return back_to("/reviews")


_ONE: Final = "/utterances/{utterance_id:int}"
ROUTES: Final[tuple[Route, ...]] = (
    page(_ONE, _show),
    page(f"{_ONE}/sound", _sound),
    page(f"{_ONE}/spectrogram.png", _spectrogram),
    page(f"{_ONE}/clip.flac", _flac),
    page(f"{_ONE}/label", _label, posts=True),
    page(f"{_ONE}/tag", _tag, posts=True),
    page(f"{_ONE}/untag", _untag, posts=True),
    page(f"{_ONE}/review", _review, posts=True),
)
