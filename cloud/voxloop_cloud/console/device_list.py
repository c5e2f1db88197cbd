"""Devices, by what they sent lately."""

from dataclasses import dataclass

from sqlalchemy import Engine, case, func, select

from voxloop_cloud.records.redo import REDO_THRESHOLD
from voxloop_cloud.store.tables import UTTERANCES


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """One device since a moment. last_s: when it was heard last."""

    device_id: str
    device_kind: str
    app_version: str
    vad_kind: str
    utterances: int
    nulls: int
    failures: int
    redone: int
    mean_confidence: float | None
    last_s: float


def list_devices(engine: Engine, since_s: float, most: int) -> list[DeviceCounts]:
    """Those heard since a moment, the last one heard first; kind, program and VAD as in one of its utterances then."""
    columns = UTTERANCES.c
    last_s = func.max(columns.arrived_s).label("last_s")
    question = (
        select(
            columns.device_id,
            func.max(columns.device_kind),
            func.max(columns.app_version),
            func.max(columns.vad_kind),
            func.count(),
            func.count(case((columns.is_null, 1))),
            func.count(columns.failure),
            func.count(case((columns.redo_probability >= REDO_THRESHOLD, 1))),
            func.avg(columns.confidence),
            last_s,
        )
        .where(columns.arrived_s >= since_s)
        .group_by(columns.device_id)
        .order_by(last_s.desc(), columns.device_id)
        .limit(most)
    )
    with engine.connect() as connection:
        return [DeviceCounts(*row) for row in connection.execute(question)]
