"""Sends each segment to the bundle that the policy in force chooses."""

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from voxloop_cloud.engine import Engine
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.routing.engine_rack import EngineRack
from voxloop_cloud.routing.policy import Choice, Policy, Route, choose, listens
from voxloop_cloud.routing.policy_version import PolicyVersion
from voxloop_cloud.routing.segment_route import Routed
from voxloop_cloud.routing.shadows import Shadows
from voxloop_cloud.routing.slices import Slices
from voxloop_proto.errors import VoxloopError
from voxloop_proto.v1 import voxloop_pb2 as pb

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    from voxloop_cloud.routing.policy_store import PolicyStore

RETRY_S = 10.0
"""Time after which a bundle that could not be loaded is tried again: it may have been copied here meanwhile."""

_log = structlog.get_logger("voxloop.routing")


class Router:
    """One process's routes. What it obeys changes between two segments, never within one.

    A segment whose bundle is not loaded (yet) goes to the primary; while that is not, to the primary before it.
    """

    def __init__(self, rack: EngineRack, present: Engine, in_force: PolicyVersion, shadows: Shadows) -> None:
        """present: answers until the policy's bundles are there."""
        self.in_force = in_force
        self.shadows = shadows
        self._rack = rack
        self._present = present

    @property
    def engines(self) -> list[Engine]:
        """Those that are loaded, the one that answers most first."""
        present = self._answering(self.in_force.policy)
        return [present, *(engine for engine in self._rack.engines.values() if engine is not present)]

    @property
    def failures(self) -> dict[str, str]:
        """Why bundles that the policy names are not loaded, by bundle."""
        return dict(self._rack.failures)

    def route(self, hello: pb.Hello, segment_id: int, hotwords: HotwordList | None) -> Routed:
        """Where a segment goes. hotwords: of its session, for those who listen in."""
        policy = self.in_force.policy
        choice = choose(policy, hello.device_id, Slices.of(hello))
        engine, route = self._rack.engines.get(choice.bundle), choice.route
        if engine is None:
            engine, route = self._answering(policy), Route.PRIMARY
        listening = self._listening(choice, engine, hello.session_id, segment_id) if choice.shadows else ()
        copy = self.shadows.copy(listening, hotwords)
        return Routed(engine, route, self.in_force.version, choice.automation, copy)

    def obey(self, version: PolicyVersion) -> None:
        """Takes effect at the next segment of every stream; an older version than that in force has none."""
        if version.version <= self.in_force.version:
            return
        self._present = self._answering(self.in_force.policy)
        self.in_force = version
        self.fetch()
        _log.info("policy.in_force", version=version.version, author=version.author, reason=version.reason)

    def fetch(self) -> None:
        """Has all bundles of the policy loaded that are not, and lets go of what is needed no more."""
        policy = self.in_force.policy
        self._rack.begin_loading(policy.bundles)
        self._rack.keep(policy.bundles | {self._answering(policy).key})
        self.shadows.keep(shadow.bundle for shadow in policy.shadows)

    async def watch(self, store: "PolicyStore", every_s: float) -> None:
        """Obeys what other processes put in force, until it is cancelled."""
        fetched_s, is_away = time.monotonic(), False
        while True:
            await asyncio.sleep(every_s)
            try:
                await self._look(store)
                is_away = False
            except VoxloopError as error:
                if not is_away:
                    _log.error("policy.not_read", error=error.message, goes_on_with=self.in_force.version)
                is_away = True
            except Exception:  # noqa: BLE001 (the task's boundary: a look that fails must not be the last)
                _log.exception("policy.watch_failed")
            if time.monotonic() - fetched_s > RETRY_S:
                fetched_s = time.monotonic()
                self._rack.begin_loading(self.in_force.policy.bundles)

    async def _look(self, store: "PolicyStore") -> None:
        if await asyncio.to_thread(store.newest_version) > self.in_force.version:
            newest = await asyncio.to_thread(store.newest)
            if newest is not None:
                self.obey(newest)

    def _answering(self, policy: Policy) -> Engine:
        """The primary, if it is there."""
        return self._rack.engines.get(policy.primary, self._present)

    def _listening(self, choice: Choice, answering: Engine, session_id: str, segment_id: int) -> list[Engine]:
        found = (
            self._rack.engines.get(shadow.bundle)
            for shadow in choice.shadows
            if listens(shadow, session_id, segment_id)
        )
        return [engine for engine in found if engine is not None and engine is not answering]
