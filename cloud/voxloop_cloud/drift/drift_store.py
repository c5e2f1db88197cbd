"""What drift detection reads from the store, and writes into it."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Engine, distinct, func, insert, select

from voxloop_cloud.drift.metric import METRICS, SETTINGS, SLICES
from voxloop_cloud.drift.skew import DeviceSettings
from voxloop_cloud.drift.verdict import Drift
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import DRIFTS, LABELS, UTTERANCES

_NAMES: Final = dict.fromkeys(
    itertools.chain(
        ("id", "device_id", "arrived_s", "failure", "outcome"),
        (metric.name for metric in METRICS if metric.name in UTTERANCES.c),
        (column for setting in SETTINGS for column in setting.columns),
        SLICES,
    )
)
_COLUMNS: Final = [UTTERANCES.c[name] for name in _NAMES]
_BEYOND: Final = 1 << 62


def count_between(engine: Engine, from_s: float, to_s: float) -> int:
    """Utterances that arrived in [from_s, to_s)."""
    with engine.connect() as connection:
        inside = select(func.count()).where(UTTERANCES.c.arrived_s >= from_s, UTTERANCES.c.arrived_s < to_s)
        return int(connection.execute(inside).scalar_one())


def first_id_since(engine: Engine, moment_s: float, after_id: int) -> int:
    """The id, after after_id, of the first row that arrived at moment_s or later; beyond all ids if there is none.

    Rows are not written quite in the order in which they arrived.
    """
    wanted = select(func.min(UTTERANCES.c.id)).where(UTTERANCES.c.id > after_id, UTTERANCES.c.arrived_s >= moment_s)
    with engine.connect() as connection:
        found = connection.execute(wanted).scalar_one()
    return _BEYOND if found is None else int(found)


def read_utterances(
    engine: Engine, from_s: float, to_s: float, after_id: int, every: int, most: int, before_id: int = _BEYOND
) -> list[dict[str, Any]]:
    """Rows that arrived in [from_s, to_s) with ids between the two, every n-th by id, in order, at most so many."""
    wanted = (
        select(*_COLUMNS)
        .where(UTTERANCES.c.id > after_id, UTTERANCES.c.id < before_id, UTTERANCES.c.id % every == 0)
        .where(UTTERANCES.c.arrived_s >= from_s, UTTERANCES.c.arrived_s < to_s)
        .order_by(UTTERANCES.c.id)
        .limit(most)
    )
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(wanted).mappings()]


def read_labels(engine: Engine, from_s: float, to_s: float, after_id: int, most: int) -> list[dict[str, Any]]:
    """Labels made in [from_s, to_s) of utterances whose text is known: id, device_id, arrived_s, label, text."""
    wanted = (
        select(
            LABELS.c.id, UTTERANCES.c.device_id, UTTERANCES.c.arrived_s, LABELS.c.text.label("label"), UTTERANCES.c.text
        )
        .join(UTTERANCES, LABELS.c.utterance_id == UTTERANCES.c.id)
        .where(LABELS.c.id > after_id, LABELS.c.created_s >= from_s, LABELS.c.created_s < to_s)
        .where(UTTERANCES.c.text.is_not(None))
        .order_by(LABELS.c.id)
        .limit(most)
    )
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(wanted).mappings()]


def read_settings_of_devices(engine: Engine, from_s: float, bundle: str) -> list[DeviceSettings]:
    """Settings of devices in their utterances since from_s that this bundle answered, the most frequent first."""
    of_device = [
        UTTERANCES.c[name]
        for name in ("vad_kind", "padding_before_ms", "padding_after_ms", "normalization_target_dbfs")
    ]
    counted = func.count().label("utterances")
    wanted = (
        select(*of_device, counted, func.count(distinct(UTTERANCES.c.device_id)).label("devices"))
        .where(UTTERANCES.c.arrived_s >= from_s, UTTERANCES.c.bundle == bundle)
        .group_by(*of_device)
        .order_by(counted.desc())
    )
    with engine.connect() as connection:
        return [DeviceSettings(**row) for row in connection.execute(wanted).mappings()]


def write_drifts(engine: Engine, drifts: Iterable[Drift], found_s: float, since_s: float) -> list[Drift]:
    """Writes those that are not there since since_s, and gives them: after a restart the same are found again."""
    new: list[Drift] = []
    with writing(engine) as connection:
        for drift in drifts:
            known = select(func.count()).where(
                DRIFTS.c.found_s >= since_s,
                DRIFTS.c.metric == drift.metric,
                DRIFTS.c.slice == drift.slice,
                DRIFTS.c.against == drift.against,
                DRIFTS.c.kind == drift.kind,
            )
            if not connection.execute(known).scalar_one():
                connection.execute(insert(DRIFTS).values(found_s=found_s, **drift.to_row()))
                new.append(drift)
    return new


def read_drifts(engine: Engine, from_s: float, most: int = 1_000) -> Sequence[dict[str, Any]]:
    """Rows of DRIFTS since from_s, the newest first."""
    wanted = select(DRIFTS).where(DRIFTS.c.found_s >= from_s).order_by(DRIFTS.c.found_s.desc(), DRIFTS.c.id).limit(most)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(wanted).mappings()]
