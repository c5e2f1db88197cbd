"""Alarms as the pages show them: those that stand, those that were, and the rules behind them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, select

from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.store.tables import ALARMS


@dataclass(frozen=True, slots=True)
class KeptAlarm:
    """A row of the table. resolved_s: None while it stands; value: None if it fired because data were missing."""

    id: int
    instance: str
    rule: str
    severity: str
    fired_s: float
    resolved_s: float | None
    value: float | None
    threshold: float
    labels: dict[str, str]


def standing_alarms(engine: Engine, most: int = 200) -> list[KeptAlarm]:
    """Those that fired and have not resolved, the newest first."""
    return _read(engine, select(ALARMS).where(ALARMS.c.resolved_s.is_(None)), most)


def past_alarms(engine: Engine, most: int = 100) -> list[KeptAlarm]:
    """Those that have resolved, the newest first."""
    return _read(engine, select(ALARMS).where(ALARMS.c.resolved_s.is_not(None)), most)


def state_by_stage(alarms: list[KeptAlarm], rules: tuple[Rule, ...]) -> dict[str, str]:
    """The worst severity that stands at each stage that any rule watches; "fine" if none does."""
    stage_of = {rule.name: rule.stage for rule in rules}
    order = ("fine", "note", "ticket", "page")
    found = dict.fromkeys(stage_of.values(), "fine")
    for alarm in alarms:
        stage = stage_of.get(alarm.rule)
        if stage is not None and alarm.severity in order:
            found[stage] = max(found[stage], alarm.severity, key=order.index)
    return found


def _read(engine: Engine, question: Any, most: int) -> list[KeptAlarm]:
    with engine.connect() as connection:
        rows = connection.execute(question.order_by(ALARMS.c.fired_s.desc(), ALARMS.c.id.desc()).limit(most))
        return [_kept(row) for row in rows]


def _kept(row: "Row[Any]") -> KeptAlarm:
    return KeptAlarm(**{name: getattr(row, name) for name in KeptAlarm.__slots__})
