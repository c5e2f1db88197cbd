"""Reads evidence from the store, as it comes: each row once, and a bounded number of them at a time."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, Row, Select, and_, func, or_, select

from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.evidence import Evidence
from voxloop_cloud.rollout.matched_change import MOST_BEFORE
from voxloop_cloud.rollout.measures import Comparison, Hearing, LabelledPair, LiveUtterance
from voxloop_cloud.rollout.review_reason import UNSURE
from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.store.tables import LABELS, REVIEWS, SHADOWS, UTTERANCES

PAGE_ROWS: Final = 500
_SERVER_STAGES: Final = ("features", "recognizer", "decoder")
_FAIR_SOURCES: Final = ("review", "import")
"""Of labels. Users and people at the console correct what is wrong, which is what the present bundle got wrong: on such
utterances any other bundle looks better."""

_Value = TypeVar("_Value")


class EvidenceReader:
    """Of one trial. A row counts once its utterance is settle_ms old, by when all that belongs to it is known.

    Rows are read in the order of their ids, and reading stops at the first one that is too young: none is passed over.
    """

    def __init__(self, database: Engine, trial: Trial, config: RolloutConfig) -> None:
        self.evidence = Evidence(config)
        self.trial = trial
        self._database = database
        self._settle_s = config.settle_ms / 1000.0
        self._last_ids: dict[str, int] = {}
        self._labelled = _labelled_pairs(trial)
        self._shadowed = _comparisons(trial)

    def read(self, now_s: float) -> bool:
        """Takes at most a page of each kind; True if there may be more. now_s: Unix seconds."""
        shadowed = self._page("shadow", self._shadowed, SHADOWS.c.id, now_s, self._to_comparison)
        self.evidence.compare(shadowed)
        labelled = self._page("label", self._labelled, LABELS.c.id, now_s, _to_labelled_pair)
        self.evidence.label(labelled)
        heard: list[LiveUtterance] = []
        if self.trial.live_since_s is not None:
            question = _live(self.trial, self.trial.live_since_s)
            heard = self._page("utterance", question, UTTERANCES.c.id, now_s, self._to_live)
            self._remember_devices(heard)
            self.evidence.hear(heard)
        return any(len(page) == PAGE_ROWS for page in (shadowed, labelled, heard))

    def answered(self) -> int:
        """Utterances that the bundle answered since it has its present share."""
        question = (
            select(func.count())
            .select_from(UTTERANCES)
            .where(UTTERANCES.c.bundle == self.trial.bundle, UTTERANCES.c.arrived_s >= self.trial.share_since_s)
        )
        with self._database.connect() as connection:
            return connection.execute(question).scalar_one()

    def _page(
        self, kind: str, question: "Select[Any]", key: Any, now_s: float, to_value: Callable[["Row[Any]"], _Value]
    ) -> list[_Value]:
        question = question.where(key > self._last_ids.get(kind, 0)).order_by(key).limit(PAGE_ROWS)
        values: list[_Value] = []
        with self._database.connect() as connection:
            for row in connection.execute(question):
                if row.known_s > now_s - self._settle_s:
                    break
                self._last_ids[kind] = row.id
                values.append(to_value(row))
        return values

    def _remember_devices(self, heard: list[LiveUtterance]) -> None:
        """What devices said before the trial's bundle answered anyone, of those heard for the first time."""
        for device_id in dict.fromkeys(each.device_id for each in heard):
            if self.evidence.wants(device_id):
                with self._database.connect() as connection:
                    rows = connection.execute(_before(self.trial, device_id)).all()
                self.evidence.remember(device_id, [self._to_live(row) for row in rows])

    def _to_comparison(self, row: "Row[Any]") -> Comparison:
        shadow = Hearing(row.shadow_is_null, row.shadow_confidence, row.shadow_busy_ms)
        told = Hearing(row.is_null, row.confidence, _busy_ms(row.timings))
        is_candidates = row.bundle == self.trial.bundle
        present, candidate = (shadow, told) if is_candidates else (told, shadow)
        return Comparison(present, candidate, row.disagreement_errors, row.disagreement_words)

    def _to_live(self, row: "Row[Any]") -> LiveUtterance:
        return LiveUtterance(
            device_id=row.device_id,
            is_candidates=row.bundle == self.trial.bundle,
            has_failed=row.failure is not None,
            is_null=row.is_null,
            server_latency_ms=row.server_latency_ms,
            outcome=row.outcome,
            redo_probability=row.redo_probability,
        )


def _heard_by_both(trial: Trial) -> Any:
    """One of the two answered, the other listened in."""
    return and_(
        or_(
            and_(UTTERANCES.c.bundle == trial.against, SHADOWS.c.bundle == trial.bundle),
            and_(UTTERANCES.c.bundle == trial.bundle, SHADOWS.c.bundle == trial.against),
        ),
        UTTERANCES.c.arrived_s >= trial.since_s,
        UTTERANCES.c.failure.is_(None),
    )


def _comparisons(trial: Trial) -> "Select[Any]":
    shadow, told = SHADOWS.c, UTTERANCES.c
    return (
        select(
            shadow.id,
            shadow.is_null.label("shadow_is_null"),
            shadow.confidence.label("shadow_confidence"),
            shadow.busy_ms.label("shadow_busy_ms"),
            shadow.disagreement_errors,
            shadow.disagreement_words,
            told.bundle,
            told.is_null,
            told.confidence,
            told.timings,
            told.arrived_s.label("known_s"),
        )
        .join(UTTERANCES, told.id == shadow.utterance_id)
        .where(_heard_by_both(trial), told.confidence.is_not(None))
    )


def _labelled_pairs(trial: Trial) -> "Select[Any]":
    """The first fair label of each utterance: not one that was asked for because the present bundle was unsure."""
    label, told, shadow = LABELS.c, UTTERANCES.c, SHADOWS.c
    others = LABELS.alias()
    first = (
        select(func.min(others.c.id))
        .where(others.c.utterance_id == label.utterance_id, others.c.source.in_(_FAIR_SOURCES))
        .scalar_subquery()
    )
    unsure = select(REVIEWS.c.id).where(REVIEWS.c.utterance_id == told.id, REVIEWS.c.reason.startswith(UNSURE)).exists()
    return (
        select(
            label.id,
            label.text.label("label"),
            label.created_s.label("known_s"),
            told.text.label("told_text"),
            shadow.text.label("shadow_text"),
            (told.bundle == trial.bundle).label("is_candidates"),
        )
        .join(UTTERANCES, told.id == label.utterance_id)
        .join(SHADOWS, shadow.utterance_id == told.id)
        .where(_heard_by_both(trial), told.text.is_not(None), shadow.text.is_not(None))
        .where(label.id == first, ~unsure)
    )


def _live(trial: Trial, since_s: float) -> "Select[Any]":
    told = UTTERANCES.c
    return select(
        told.id,
        told.device_id,
        told.bundle,
        told.failure,
        told.is_null,
        told.server_latency_ms,
        told.outcome,
        told.redo_probability,
        told.arrived_s.label("known_s"),
    ).where(told.bundle.in_((trial.bundle, trial.against)), told.arrived_s >= since_s)


def _before(trial: Trial, device_id: str) -> "Select[Any]":
    told = UTTERANCES.c
    columns = (told.device_id, told.bundle, told.failure, told.is_null, told.server_latency_ms, told.outcome)
    return (
        select(*columns, told.redo_probability)
        .where(told.device_id == device_id, told.bundle == trial.against, told.arrived_s < trial.live_since_s)
        .order_by(told.arrived_s.desc())
        .limit(MOST_BEFORE)
    )


def _to_labelled_pair(row: "Row[Any]") -> LabelledPair:
    present, candidate = (row.told_text, row.shadow_text)
    if row.is_candidates:
        present, candidate = candidate, present
    return LabelledPair(row.label, present, candidate)


def _busy_ms(timings: Mapping[str, Any]) -> float:
    """Of the server's stages; timings: stage to busy and waiting ms."""
    return sum(float(timings[stage][0]) for stage in _SERVER_STAGES if stage in timings)
