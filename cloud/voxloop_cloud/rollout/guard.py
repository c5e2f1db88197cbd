"""The guard: looks at the evidence again and again, writes its verdicts down, and acts on them. The async shell."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.rollout.checks import read_audit
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.labelled_clips import LabelledClip, read_labelled_clips
from voxloop_cloud.rollout.lease import Lease
from voxloop_cloud.rollout.must_not_fail import ClipHearing
from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.rollout.trial_watch import TrialWatch
from voxloop_cloud.rollout.trials import changed_by, find_trials, is_forced
from voxloop_cloud.rollout.verdict import Kind, Verdict
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_version import PolicyVersion
from voxloop_proto.errors import ConfigError, VoxloopError

AUTHOR: Final = "guard"
LEASE_LOOKS: Final = 5
"""Looks for which one process keeps the work, but no less than LEAST_LEASE_S; after it died, so long nobody looks."""

LEAST_LEASE_S: Final = 5.0

MOST_REASON_CHARACTERS: Final = 700
"""With the names of bundles that were let in without an audit it still is one that the store takes."""

_log = structlog.get_logger("voxloop.guard")

Recognizers = Callable[[str], Recognizer | None]
"""Of a bundle by its key; None while this process has not loaded it."""


class Policies(Protocol):
    """Where the guard reads and changes the policy (routing.policy_desk)."""

    async def history(self) -> list[PolicyVersion]:
        """All that were in force, the newest first."""
        ...

    async def change(
        self, policy: Policy, author: str, reason: str, expected_version: int, unaudited: Collection[str] = ()
    ) -> PolicyVersion:
        """Puts a policy in force. Raises ConfigError if somebody else has changed it meanwhile."""
        ...


class RolloutGuard:
    """Of all processes that share a database one is at work, which a lease decides; what it knows it has read there, so
    that any other can go on where it died."""

    def __init__(
        self,
        database: Engine,
        policies: Policies,
        recognizers: Recognizers,
        config: RolloutConfig,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """now_s: Unix seconds. Raises ConfigError or DataError for a wrong manifest of clips that must not fail."""
        self._database = database
        self._policies = policies
        self._recognizers = recognizers
        self._config = config
        self._now_s = now_s
        holder = f"{socket.gethostname()[:32]}/{os.getpid()}/{secrets.token_hex(4)}"
        self._lease = Lease(database, "guard", holder, max(LEAST_LEASE_S, LEASE_LOOKS * config.look_every_ms / 1000.0))
        self._must_hear: Sequence[LabelledClip] = (
            read_labelled_clips(config.must_not_fail) if config.must_not_fail else ()
        )
        for clip in self._must_hear:
            clip.check()
        self._watches: dict[str, TrialWatch] = {}

    async def run(self) -> None:
        """Looks until it is cancelled. A database that is away is waited for."""
        try:
            while True:
                await self._look_once()
                await asyncio.sleep(self._config.look_every_ms / 1000.0)
        finally:
            await asyncio.shield(asyncio.to_thread(self._lease.release))

    async def _look_once(self) -> None:
        look = asyncio.create_task(self.look(), name="look of the guard")
        try:
            await asyncio.shield(look)
        except asyncio.CancelledError:
            await asyncio.gather(look, return_exceptions=True)  # it holds the database, which is closed after us
            raise
        except (SQLAlchemyError, VoxloopError) as error:
            _log.warning("guard.failed", error=str(error).splitlines()[0])
        except Exception:  # noqa: BLE001 (the task's boundary)
            _log.exception("guard.crashed")

    async def look(self) -> list[Verdict]:
        """One look at every trial: reads what is new, judges, writes down, acts. Returns the verdicts.

        None of them if another process is at work. Raises what SQLAlchemy and the policies do.
        """
        if not await asyncio.to_thread(self._hold_lease):
            self._watches.clear()
            return []
        versions = await self._policies.history()
        trials = find_trials(versions)
        self._drop_others({trial.bundle for trial in trials})
        verdicts = []
        for trial in trials:
            watch = self._watch(trial)
            if watch is None:
                await asyncio.to_thread(self._lease.release)  # another process may have the bundle
                continue
            verdict = await asyncio.to_thread(watch.look, trial, is_forced(versions, trial.bundle), self._now_s())
            if verdict is None:
                continue
            verdicts.append(verdict)
            if await self._act(verdict, versions):
                break  # the other trials are of a policy that is no more
        return verdicts

    def _hold_lease(self) -> bool:
        return self._lease.take(self._now_s())

    def _drop_others(self, tried: Collection[str]) -> None:
        for bundle in self._watches.keys() - set(tried):
            del self._watches[bundle]

    def _watch(self, trial: Trial) -> TrialWatch | None:
        """The watch of a trial, a new one if it began anew; None while its bundle is not loaded here."""
        known = self._watches.get(trial.bundle)
        if known is not None and known.is_of(trial):
            return known
        recognizer = self._recognizers(trial.bundle)
        if recognizer is None:
            return None
        clips = known.must_not_fail if known is not None else ClipHearing(self._must_hear, recognizer)
        watch = TrialWatch(self._database, trial, self._config, read_audit(recognizer.bundle), clips)
        self._watches[trial.bundle] = watch
        return watch

    async def _act(self, verdict: Verdict, versions: Sequence[PolicyVersion]) -> bool:
        """Puts a verdict into force if that is allowed; False if nothing was changed."""
        allowed = {Kind.ROLL_BACK: self._config.rolls_back, Kind.PROMOTE: self._config.promotes, Kind.HOLD: False}
        if not allowed[verdict.kind]:
            return False
        newest, bundle = versions[0], verdict.trial.bundle
        forced = (bundle,) if is_forced(versions, bundle) else ()
        try:
            policy = changed_by(verdict, newest.policy)
            await self._policies.change(policy, AUTHOR, _cut(verdict.reason), newest.version, forced)
        except ConfigError as error:
            _log.warning("guard.overtaken", bundle=bundle, kind=verdict.kind.value, error=error.message)
            return False
        _log.warning("guard.acted", bundle=bundle, kind=verdict.kind.value, reason=verdict.reason)
        return True


def _cut(reason: str) -> str:
    """A reason that the store takes, however long the texts of clips in it are."""
    return reason if len(reason) <= MOST_REASON_CHARACTERS else f"{reason[: MOST_REASON_CHARACTERS - 1]}…"


@asynccontextmanager
async def open_guard(
    database: Engine, policies: Policies, recognizers: Recognizers, config: RolloutConfig
) -> AsyncIterator[RolloutGuard]:
    """A guard at work, until the block is left. Raises as RolloutGuard."""
    guard = RolloutGuard(database, policies, recognizers, config)
    task = asyncio.create_task(guard.run(), name="guard")
    try:
        yield guard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
