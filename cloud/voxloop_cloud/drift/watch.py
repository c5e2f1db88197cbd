"""Drift detection in a server: reads the store every few seconds, writes down what it finds. The async shell.

It reads the store, not this process's utterances: so it sees those of all workers, and comes back after a restart to
where it was, by reading the week again.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.bundle import REFERENCE_FILE, Bundle
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.drift_store import write_drifts
from voxloop_cloud.drift.training_reference import read_reference
from voxloop_cloud.drift.verdict import Drift
from voxloop_cloud.drift.week import WEEK_S, WatchedWeek
from voxloop_cloud.rollout.lease import Lease
from voxloop_proto.errors import VoxloopError

LEASE_POLLS: Final = 6
"""Polls for which one process keeps the work; after it died, so long nobody looks."""

_log = structlog.get_logger("voxloop.drift")


class DriftWatch:
    """Of all processes that share a database, one is at work (Lease). Memory: two weeks' sample of utterances."""

    def __init__(
        self, database: Engine, bundle: Bundle, config: DriftConfig, now_s: Callable[[], float] = time.time
    ) -> None:
        """bundle: whose training data is compared with. now_s: Unix seconds.

        Raises ContractError if the bundle's reference.json is no reference.
        """
        self._database, self._config, self._now_s = database, config, now_s
        self._reference = read_reference(bundle.path / REFERENCE_FILE)
        holder = f"{socket.gethostname()[:32]}/{os.getpid()}/{secrets.token_hex(4)}"
        self._lease = Lease(database, "drift", holder, LEASE_POLLS * config.poll_s)
        self._week: WatchedWeek | None = None

    async def run(self) -> None:
        """Looks until it is cancelled. A database that is away is waited for."""
        try:
            while True:
                try:
                    await asyncio.to_thread(self.look)
                except (SQLAlchemyError, VoxloopError) as error:
                    _log.warning("drift.failed", error=str(error).splitlines()[0])
                    self._week = None  # what was read and not yet judged is read again
                except Exception:  # noqa: BLE001 (the task's boundary)
                    _log.exception("drift.crashed")
                    self._week = None
                await asyncio.sleep(self._config.poll_s)
        finally:
            await asyncio.shield(asyncio.to_thread(self._lease.release))

    def look(self) -> list[Drift]:
        """Takes what is new in the store; gives what is found and was not known. Waits for the database.

        Raises as SQLAlchemy does.
        """
        now_s = self._now_s()
        if not self._lease.take(now_s):
            self._week = None
            return []
        settled_s = now_s - self._config.settle_s
        start_s = week_of(settled_s)
        found: list[Drift] = []
        if self._week is None:
            self._week = WatchedWeek(self._database, self._config, self._reference, start_s)
        elif self._week.start_s != start_s:
            found += self._keep(self._week.advance(start_s), now_s, self._week.start_s)
            self._week = WatchedWeek(self._database, self._config, self._reference, start_s)
        return found + self._keep(self._week.advance(settled_s), now_s, start_s)

    def _keep(self, drifts: list[Drift], now_s: float, since_s: float) -> list[Drift]:
        new = write_drifts(self._database, drifts, now_s, since_s) if drifts else []
        for drift in new:
            _log.warning(
                "drift",
                metric=drift.metric,
                stage=drift.blame.stage if drift.blame else drift.stage,
                slice=drift.slice,
                kind=drift.kind,
                says=drift.sentence(),
            )
        return new


def week_of(moment_s: float) -> float:
    """The beginning of the week of a moment, both in Unix seconds: weeks begin on Thursdays, 0:00 UTC, as in 1970."""
    return moment_s // WEEK_S * WEEK_S
