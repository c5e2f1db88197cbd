"""What each bundle did lately, side by side: as it answered, and as it listened in."""

from dataclasses import dataclass

from sqlalchemy import Engine, case, func, select

from voxloop_cloud.records.queries import SliceCounts, UtteranceFilter, count
from voxloop_cloud.store.tables import SHADOWS, UTTERANCES


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """What a bundle that listened in heard. disagreement: words that differ from what devices were told, of those."""

    bundle: str
    segments: int
    nulls: int
    mean_confidence: float
    mean_busy_ms: float
    errors: int
    words: int

    @property
    def disagreement(self) -> float | None:
        """None if no word was told."""
        return self.errors / self.words if self.words else None


def answered_by_bundle(engine: Engine, since_s: float) -> dict[str, SliceCounts]:
    """What each bundle answered since a moment, Unix seconds."""
    found = count(engine, "bundle", UtteranceFilter(since_s=since_s))
    return {each.value: each for each in found if each.value}


def heard_by_shadow(engine: Engine, since_s: float) -> dict[str, ShadowCounts]:
    """What each bundle heard that listened in, of utterances that arrived since a moment."""
    columns = SHADOWS.c
    question = (
        select(
            columns.bundle,
            func.count(),
            func.count(case((columns.is_null, 1))),
            func.avg(columns.confidence),
            func.avg(columns.busy_ms),
            func.sum(columns.disagreement_errors),
            func.sum(columns.disagreement_words),
        )
        .join(UTTERANCES, UTTERANCES.c.id == columns.utterance_id)
        .where(UTTERANCES.c.arrived_s >= since_s)
        .group_by(columns.bundle)
    )
    with engine.connect() as connection:
        return {row[0]: ShadowCounts(*row) for row in connection.execute(question)}
