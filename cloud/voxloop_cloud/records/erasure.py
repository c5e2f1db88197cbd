"""Erases all of a device, and what has been kept for long enough."""

import threading
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, Float, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from voxloop_cloud.records.clip_key import day_of, device_digest
from voxloop_cloud.records.clip_store import ClipStore
from voxloop_cloud.store.database import scrub, writing
from voxloop_cloud.store.tables import ERASURES, UTTERANCES

DAY_S: Final = 86_400.0
_AT_ONCE: Final = 500
_PAUSE_S: Final = 0.05
"""Between two transactions, in which others may write."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What is there no more. bytes: of sound."""

    utterances: int
    bytes: int


def erase_device(engine: Engine, clips: ClipStore | None, device_id: str, now_s: float) -> Erased:
    """Erases every utterance of a device, what hangs on them, and its sound; what waits to be written will not be.

    Idempotent: a second time finds what has come since.
    """
    with writing(engine) as connection:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        mark = insert(ERASURES).values(device=device_digest(device_id), erased_s=now_s)
        connection.execute(
            mark.on_conflict_do_update(index_elements=["device"], set_={"erased_s": mark.excluded.erased_s})
        )
    # After the mark no record of before comes any more, so this may be done in parts.
    utterances = 0
    while erased := _delete_some(engine, UTTERANCES.c.device_id == device_id):
        utterances += erased
    scrub(engine)
    return Erased(utterances, clips.erase(device_id) if clips else 0)


def erase_old(
    engine: Engine, clips: ClipStore | None, keep_days: float, now_s: float, stop: threading.Event | None = None
) -> Erased:
    """Erases utterances that came more than keep_days ago, and the sound of whole days before then.

    stop: once it is set, the rest is left for the next time.
    """
    oldest_s, stop = now_s - keep_days * DAY_S, stop or threading.Event()
    utterances = 0
    while erased := _delete_some(engine, UTTERANCES.c.arrived_s < oldest_s):
        utterances += erased
        if stop.wait(_PAUSE_S):
            return Erased(utterances, 0)
    return Erased(utterances, clips.delete_before(day_of(oldest_s)) if clips else 0)


def erased_since(engine: Engine, moment_s: float) -> dict[str, float]:
    """Devices, by their digests, that were erased at this moment or later, and when."""
    moment = bindparam("moment", moment_s, Float)
    with engine.connect() as connection:
        found = connection.execute(select(ERASURES.c.device, ERASURES.c.erased_s).where(ERASURES.c.erased_s >= moment))
        return {device: erased_s for device, erased_s in found}


def _delete_some(engine: Engine, which: object) -> int:
    some = select(UTTERANCES.c.id).where(which).limit(_AT_ONCE)  # type: ignore[arg-type] # any condition on the table
    with writing(engine) as connection:
        return connection.execute(delete(UTTERANCES).where(UTTERANCES.c.id.in_(some))).rowcount
