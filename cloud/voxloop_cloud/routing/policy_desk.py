"""Where a policy is changed: what it names is checked first, then it is stored, then this process obeys it at once."""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from voxloop_cloud.routing.bundle_shelf import is_audited
from voxloop_cloud.routing.engine_rack import EngineRack
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_version import MOST_LISTED, PolicyVersion, primaries
from voxloop_cloud.routing.router import Router
from voxloop_proto.errors import ConfigError

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    from voxloop_cloud.routing.policy_store import PolicyStore


class PolicyDesk:
    """For the admin service, the console and the guard. One change at a time in each process; between processes the
    expected version decides."""

    def __init__(
        self, router: Router, rack: EngineRack, store: "PolicyStore | None", clock: Callable[[], float] = time.time
    ) -> None:
        """store: None for a server that keeps no state, whose policy cannot be changed. clock: Unix seconds."""
        self._router = router
        self._rack = rack
        self._store = store
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    @property
    def in_force(self) -> PolicyVersion:
        """What this process obeys."""
        return self._router.in_force

    async def change(
        self, policy: Policy, author: str, reason: str, expected_version: int, unaudited: Collection[str] = ()
    ) -> PolicyVersion:
        """Puts a policy in force; returns once this process obeys it, the others do within `watch_ms`.

        Bundles that are not loaded are, first: seconds. unaudited: bundles that may answer or listen in although their
        audit has not passed. Raises ConfigError if the server keeps no state, somebody else has changed the policy
        meanwhile, or a bundle is not here or not audited; ContractError if one is damaged.
        """
        store = self._stored()
        async with self._one_at_a_time:
            await asyncio.to_thread(store.check_newest, expected_version)  # before a bundle is loaded for nothing
            try:
                forced = await self._check_bundles(store, policy, unaudited)
                told = f"{reason} [without an audit: {', '.join(forced)}]" if forced else reason
                new = await asyncio.to_thread(store.add, policy, author, told, expected_version, self._clock())
                self._router.obey(new)
            finally:
                self._router.fetch()  # lets go of what was loaded for a policy that was refused
        return new

    async def history(self, most: int = MOST_LISTED) -> list[PolicyVersion]:
        """All policies that were in force, the newest first; of a server that keeps no state, the fixed one."""
        if self._store is None:
            return [self.in_force]
        return await asyncio.to_thread(self._store.history, most)

    def _stored(self) -> "PolicyStore":
        if self._store is None:
            raise ConfigError(
                "this server keeps no state, so its policy is fixed: its one bundle answers; "
                "start it with 'voxloop serve --state DIR' to route"
            )
        return self._store

    async def _check_bundles(self, store: "PolicyStore", policy: Policy, unaudited: Collection[str]) -> list[str]:
        """Returns those that are in use only because they were named. What is in use already, and whatever has been the
        primary before, needs no audit now: a step back is always open."""
        before = self.in_force.policy
        new = (policy.answering - before.answering) | (policy.bundles - before.bundles)
        if not new:
            return []
        for key in sorted(new):
            await self._rack.load(key)
        known = primaries(await asyncio.to_thread(store.history))
        lacking = [key for key in sorted(new - known) if not await self._is_audited(key)]
        if refused := [key for key in lacking if key not in unaudited]:
            raise ConfigError(
                f"{', '.join(refused)}: its audit.json does not say that it passed; evaluate and export it with its "
                f"audit, or take it all the same with --unaudited {refused[0]}, which is recorded"
            )
        return lacking

    async def _is_audited(self, key: str) -> bool:
        engine = await self._rack.load(key)
        return await asyncio.to_thread(is_audited, engine.bundle)
