"""What one row of the utterances adds to each metric that it tells of: the past of a rule is read from there."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxloop_cloud.records.redo import REDO_THRESHOLD
from voxloop_proto.metrics.segment_report import MEASURES, STRIP_STAGE

LABEL_COLUMNS: Final = ("bundle", "route", "vad_kind", "device_kind")

Contribution = tuple[Mapping[str, str], float]
"""Labels, and what is added to a counter or observed by a histogram."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How a metric is made of an utterance. own_columns: those that it reads, besides the labels'.

    codes: under which it is added; none of a metric that has no codes.
    """

    own_columns: tuple[str, ...]
    value: Callable[[Any], float | None]
    codes: Callable[[Any], Iterable[str]] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the table, without doubles."""
        return tuple(dict.fromkeys((*LABEL_COLUMNS, *self.own_columns)))

    def of(self, row: Any) -> Iterator[Contribution]:
        """What the row adds; nothing where it does not know."""
        value = self.value(row)
        if value is None:
            return
        labels = {name: str(getattr(row, name)) for name in LABEL_COLUMNS}
        if self.codes is None:
            yield labels, value
            return
        for code in self.codes(row):
            yield labels | {"code": code}, value


def _column(name: str, scale: float = 1.0) -> Amount:
    def value(row: Any) -> float | None:
        found = getattr(row, name)
        return None if found is None else float(found) * scale

    return Amount((name,), value)


def _column_of_transcripts(name: str, scale: float = 1.0) -> Amount:
    whole = _column(name, scale)
    return Amount((name, "failure"), lambda row: whole.value(row) if row.failure is None else None)


def _busy_s(*stages: str) -> Amount:
    def value(row: Any) -> float | None:
        found = [row.timings[stage][0] for stage in stages if stage in row.timings]
        return sum(found) / 1000.0 if found else None

    return Amount(("timings",), value)


def _wait_s(row: Any) -> float | None:
    return float(row.timings["recognizer"][1]) / 1000.0 if "recognizer" in row.timings else None


def _outcomes(row: Any) -> Iterator[str]:
    """What the user did, and what the detector found; both may be of one utterance."""
    if row.outcome:
        yield str(row.outcome)
    if (row.redo_probability or 0.0) >= REDO_THRESHOLD:
        yield "redo_detected"


def _stages_under(strip_stage: str) -> tuple[str, ...]:
    return tuple(stage for stage, shown in STRIP_STAGE.items() if shown == strip_stage)


RECORDED: Final[Mapping[str, Amount]] = {
    "voxloop_router_segments_total": Amount((), lambda _: 1.0),
    "voxloop_router_failures_total": Amount(
        ("failure",), lambda row: 1.0 if row.failure else None, lambda row: (str(row.failure),)
    ),
    "voxloop_decoder_transcripts_total": Amount(("failure",), lambda row: None if row.failure else 1.0),
    "voxloop_decoder_null_transcripts_total": Amount(("is_null",), lambda row: 1.0 if row.is_null else None),
    "voxloop_outcome_feedback_total": Amount(("outcome", "redo_probability"), lambda _: 1.0, _outcomes),
    "voxloop_recognizer_audio_seconds_total": _column_of_transcripts("duration_ms", 0.001),
    "voxloop_router_latency_seconds": _column("server_latency_ms", 0.001),
    "voxloop_decoder_confidence_ratio": _column("confidence"),
    "voxloop_decoder_characters_per_second": _column("characters_per_s"),
    "voxloop_decoder_segment_words": _column_of_transcripts("word_count"),
    "voxloop_capture_segment_seconds": _column("duration_ms", 0.001),
    "voxloop_normalizer_sent_level_dbfs": _column("level_dbfs"),
    "voxloop_features_mean_log_mel": _column("feature_mean"),
    "voxloop_features_deviation_log_mel": _column("feature_deviation"),
    "voxloop_queue_wait_seconds": Amount(("timings",), _wait_s),
    **{metric: _column(column) for column, metric in MEASURES.items()},
    **{f"voxloop_{stage}_busy_seconds": _busy_s(stage) for stage in ("features", "recognizer", "decoder", "router")},
    **{
        f"voxloop_{stage}_busy_seconds": _busy_s(*_stages_under(stage))
        for stage in ("capture", "vad", "normalizer", "uplink")
    },
}
"""By the metric's name. What is not here happens outside of utterances, or is not kept with them."""
