"""What evidence is made of: utterances as bundles heard them, and each guard's measure of one, from 0 to 1. Pure."""

from dataclasses import dataclass
from typing import Final

from voxloop_proto.scoring import normalize, score

UNHAPPY_OUTCOMES: Final = frozenset({"redone", "typed", "corrected"})


@dataclass(frozen=True, slots=True)
class Hearing:
    """What one bundle made of an utterance."""

    is_null: bool
    confidence: float
    busy_ms: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One utterance that both bundles heard. errors: words of the one's text that differ, of the other's `words`."""

    present: Hearing
    candidate: Hearing
    errors: int
    words: int


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """What was said, and what either bundle made of it."""

    label: str
    present: str
    candidate: str


@dataclass(frozen=True, slots=True)
class LiveUtterance:
    """One utterance that one bundle answered, and what became of it."""

    device_id: str
    is_candidates: bool
    has_failed: bool
    is_null: bool
    server_latency_ms: float | None
    outcome: str | None
    redo_probability: float | None


def word_error_ratio(label: str, text: str) -> float:
    """Wrong words by said words, at most 1: one utterance counts no more than another. A text made of silence is 1."""
    if not normalize(label):
        return float(bool(normalize(text)))
    found = score([label], [text])
    return min(1.0, found.errors / found.words)


def added_word_errors(pair: LabelledPair) -> float:
    """The candidate's word errors above the present's, -1 to 1."""
    return word_error_ratio(pair.label, pair.candidate) - word_error_ratio(pair.label, pair.present)


def added_nulls(pair: Comparison) -> float:
    """1 if only the candidate heard nothing, -1 if only the present did."""
    return float(pair.candidate.is_null) - float(pair.present.is_null)


def added_doubt(pair: Comparison) -> float:
    """How much less sure the candidate is, -1 to 1."""
    return pair.present.confidence - pair.candidate.confidence


def disagreement(pair: Comparison) -> float:
    """Words that differ by words of the present text, at most 1; made of silence: 1."""
    return min(1.0, pair.errors / pair.words) if pair.words else float(pair.errors > 0)


def is_slower(pair: Comparison, ratio: float) -> float:
    """1 if the candidate took more than `ratio` of the present's time, else 0."""
    return float(pair.candidate.busy_ms > ratio * pair.present.busy_ms)


def live_measures(heard: LiveUtterance, late_ms: float) -> tuple[float, ...]:
    """By the order of LIVE_GUARDS, 0 to 1: failed, redone, null, late."""
    is_unhappy = heard.outcome in UNHAPPY_OUTCOMES
    redone = 1.0 if is_unhappy else 0.0 if heard.outcome else heard.redo_probability or 0.0
    is_late = heard.server_latency_ms is not None and heard.server_latency_ms > late_ms
    return float(heard.has_failed), redone, float(heard.is_null), float(is_late)
