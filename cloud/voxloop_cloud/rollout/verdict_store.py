"""Verdicts as the store keeps them, and the alarms that they are made from."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, insert, select

from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.rollout.verdict import Kind, Verdict
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import ALARMS, VERDICTS

MOST_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class KeptVerdict:
    """A row of the table."""

    id: int
    created_s: float
    bundle: str
    against: str
    kind: Kind
    policy_version: int
    evidence: dict[str, Any]
    text: str


def keep_verdict(database: Engine, verdict: Verdict, now_s: float) -> None:
    """Writes a verdict. now_s: Unix seconds. Raises as SQLAlchemy does."""
    trial = verdict.trial
    with writing(database) as connection:
        connection.execute(
            insert(VERDICTS).values(
                created_s=now_s,
                bundle=trial.bundle,
                against=trial.against,
                kind=verdict.kind.value,
                policy_version=trial.policy_version,
                evidence=verdict.evidence,
                text=verdict.text,
            )
        )


def list_verdicts(database: Engine, bundle: str | None = None, most: int = MOST_LISTED) -> list[KeptVerdict]:
    """The newest first; of one bundle, or of all."""
    question = select(VERDICTS).order_by(VERDICTS.c.id.desc()).limit(most)
    if bundle is not None:
        question = question.where(VERDICTS.c.bundle == bundle)
    with database.connect() as connection:
        return [_read(row) for row in connection.execute(question)]


def fired_alarms(database: Engine, trial: Trial, rules: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the rules whose alarm stands against a trial's bundle: it is labelled with the bundle, or with none and
    fired since the bundle answers devices."""
    if not rules:
        return ()
    question = select(ALARMS.c.rule, ALARMS.c.labels, ALARMS.c.fired_s).where(
        ALARMS.c.rule.in_(rules), ALARMS.c.fired_s >= trial.since_s
    )
    with database.connect() as connection:
        rows = connection.execute(question).all()
    return tuple(sorted({row.rule for row in rows if _concerns(row, trial)}))


def _concerns(row: Any, trial: Trial) -> bool:
    bundle = row.labels.get("bundle")
    if bundle is not None:
        return bool(bundle == trial.bundle)
    return trial.live_since_s is not None and row.fired_s >= trial.live_since_s


def _read(row: "Row[Any]") -> KeptVerdict:
    return KeptVerdict(
        row.id, row.created_s, row.bundle, row.against, Kind(row.kind), row.policy_version, row.evidence, row.text
    )
