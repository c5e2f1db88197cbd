"""Every so often: deletes what is old, and hears of devices that another process has erased."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.records.clip_key import day_of
from voxloop_cloud.records.clip_store import ClipStore
from voxloop_cloud.records.erasure import DAY_S, erase_old, erased_since
from voxloop_proto.errors import VoxloopError

LOOK_S: Final = 2.0
LOOK_BACK_S: Final = 300.0
"""An erasure may be seen a moment after it was stamped, and by the clock of another machine."""

FIRST_DELETION_S: Final = 60.0
DELETION_S: Final = 3_600.0
"""Of each process, with half of it left to chance, so that workers do not all do the same at once."""

_log = structlog.get_logger("voxloop.records")


class Housekeeping:
    """A task of one process; what goes wrong in it is logged, and tried again the next time."""

    def __init__(
        self,
        engine: Engine,
        clips: ClipStore | None,
        keep_days: float,
        on_erased: Callable[[str], None],
        now_s: Callable[[], float],
    ) -> None:
        """on_erased: is told the digest of each device that was erased, by whichever process, on the event loop."""
        self._engine = engine
        self._clips = clips
        self._keep_days = keep_days
        self._on_erased = on_erased
        self._now_s = now_s
        self._looked_s = now_s()
        self._known: dict[str, float] = {}
        self._swept_day = ""  # days before this one have no clips any more
        self._stop = threading.Event()
        self._due_s = time.monotonic() + random.uniform(0.5, 1.0) * FIRST_DELETION_S

    async def run(self) -> None:
        """Until it is cancelled; a deletion that is under way ends with the part that it is at."""
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                await self._keep_house()
        finally:
            self._stop.set()

    async def _keep_house(self) -> None:
        try:
            await self._look()
            if time.monotonic() >= self._due_s:
                self._due_s = time.monotonic() + random.uniform(0.5, 1.0) * DELETION_S
                await self._delete_old()
        except (SQLAlchemyError, VoxloopError) as error:
            _log.warning("housekeeping.failed", error=str(getattr(error, "orig", None) or error).split("\n", 1)[0])
        except Exception:  # noqa: BLE001 (the task's boundary: else nothing is deleted any more, and nobody knows)
            _log.exception("housekeeping.crashed")

    async def _look(self) -> None:
        now_s = self._now_s()
        found = await asyncio.to_thread(erased_since, self._engine, self._looked_s - LOOK_BACK_S)
        news = [device for device, erased_s in found.items() if self._known.get(device) != erased_s]
        self._known, self._looked_s = found, now_s
        for device in news:
            self._on_erased(device)

    async def _delete_old(self) -> None:
        now_s = self._now_s()
        day = day_of(now_s - self._keep_days * DAY_S)
        clips = self._clips if day != self._swept_day else None  # whole days go, and all clips are listed for that
        erased = await asyncio.to_thread(erase_old, self._engine, clips, self._keep_days, now_s, self._stop)
        self._swept_day = day
        if erased.utterances or erased.bytes:
            _log.info("old.deleted", utterances=erased.utterances, sound_bytes=erased.bytes, keep_days=self._keep_days)
