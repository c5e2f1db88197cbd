"""Rows of UTTERANCES in a database, of devices that differ from each other."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import Engine, func, insert, select

from voxloop_cloud.drift.week import WEEK_S
from voxloop_cloud.store.tables import DRIFTS, LABELS, UTTERANCES

WEEK_START_S = 2_900 * WEEK_S
Change = Callable[[dict[str, Any]], None]


def fill(database: Engine, count: int, from_s: float, to_s: float, seed: int, change: Change = lambda _: None) -> None:
    """So many utterances, evenly over the time, in sittings of five."""
    rng = np.random.default_rng(seed)
    known = int(rng.integers(1 << 40))
    rows = []
    for at in range(count):
        if at % 5 == 0:
            device = int(rng.integers(20))
        row = _row(device, known + at, from_s + (to_s - from_s) * at / count, rng)
        change(row)
        rows.append(row)
    with database.begin() as connection:
        connection.execute(insert(UTTERANCES), rows)


def label_all(database: Engine, text: Callable[[int], str]) -> None:
    """A label for each utterance, made when it arrived. text: by the utterance's id."""
    with database.begin() as connection:
        found = connection.execute(select(UTTERANCES.c.id, UTTERANCES.c.arrived_s).order_by(UTTERANCES.c.id)).all()
        labels = [
            {"utterance_id": each, "text": text(each), "author": "ann", "created_s": arrived_s, "source": "review"}
            for each, arrived_s in found
        ]
        connection.execute(insert(LABELS), labels)


def drifts_in(database: Engine) -> list[dict[str, Any]]:
    """Rows of DRIFTS, in order."""
    with database.connect() as connection:
        return [dict(row) for row in connection.execute(select(DRIFTS).order_by(DRIFTS.c.id)).mappings()]


def count_in(database: Engine) -> int:
    """Utterances."""
    with database.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(UTTERANCES)).scalar_one())


def _row(device: int, number: int, arrived_s: float, rng: np.random.Generator) -> dict[str, Any]:
    level = -30.0 + device % 7 + rng.normal(0, 2)
    return {
        "session_id": f"session-{number}",
        "segment_id": 1,
        "device_id": f"device-{device:02d}",
        "arrived_s": arrived_s,
        "device_kind": f"kind-{device % 2}",
        "vad_kind": "webrtc",
        "vad_version": "2.0.14",
        "vad_threshold": 2.0,
        "bundle": "tiny@1",
        "route": "primary",
        "duration_ms": 2_000.0 * float(np.exp2(rng.normal(0, 0.4))),
        "start_sample": 0,
        "raw_level_dbfs": level,
        "applied_gain_db": -23.0 - level,
        "clipped_ratio": 0.0,
        "voiced_ratio": rng.uniform(0.5, 0.8),
        "snr_db": 25.0 + device % 5 + rng.normal(0, 3),
        "level_dbfs": rng.normal(-25, 1),
        "padding_before_ms": 300.0,
        "padding_after_ms": 300.0,
        "normalization_target_dbfs": -23.0,
        "feature_mean": rng.normal(-8, 0.5),
        "feature_deviation": rng.normal(3, 0.3),
        "text": "turn the light on",
        "confidence": rng.uniform(0.6, 1.0),
        "characters_per_s": rng.normal(10, 2),
    }
