"""Where a server's policy is changed: in the store, by the one way there is; then this process obeys it at once."""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.routing.engine_rack import EngineRack
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_version import FIXED_VERSION, MOST_LISTED, PolicyVersion
from voxloop_cloud.routing.router import Router
from voxloop_proto.errors import ConfigError

if TYPE_CHECKING:  # at run time only servers with a store load SQLAlchemy
    from voxloop_cloud.routing.policy_change import PolicyChange
    from voxloop_cloud.routing.policy_store import PolicyStore
    from voxloop_cloud.security.audit_log import AuditLog


class PolicyDesk:
    """For the admin service and the guard. Who changes what somebody else has just changed is told so: the expected
    version decides, within a process as between them.
    """

    def __init__(
        self,
        router: Router,
        rack: EngineRack,
        store: "PolicyStore | None",
        audit: "AuditLog | None" = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """store: None for a server that keeps no state, whose policy cannot be changed. clock: Unix seconds."""
        self._router = router
        self._rack = rack
        self._store = store
        self._audit = audit
        self._clock = clock
        self._one_loads = asyncio.Lock()
        self._listed: list[PolicyVersion] = []
        self._listed_for = (FIXED_VERSION, 0)  # the newest version, and how many were asked for

    @property
    def in_force(self) -> PolicyVersion:
        """What this process obeys."""
        return self._router.in_force

    async def change(
        self, policy: Policy, author: str, reason: str, expected_version: int, unaudited: Collection[str] = ()
    ) -> PolicyVersion:
        """Puts a policy in force; returns once this process obeys it, the others do within `watch_ms`.

        Bundles that are not loaded are, first: seconds, in which a change that needs none, as a rollback, goes ahead.
        unaudited: bundles that may answer or listen in although their audit has not passed. Raises ConfigError if the
        server keeps no state, and what `put_in_force` raises.
        """
        store = self._stored()
        from voxloop_cloud.routing.policy_change import PolicyChange  # noqa: PLC0415 (it loads SQLAlchemy)

        change = PolicyChange(policy, author, reason, expected_version, frozenset(unaudited))
        if policy.bundles - self.in_force.policy.bundles <= self._rack.engines.keys():
            return await self._put(store, change)
        async with self._one_loads:
            try:
                return await self._put(store, change)
            finally:
                self._router.fetch()  # lets go of what was loaded for a policy that was refused

    async def history(self, most: int = MOST_LISTED) -> list[PolicyVersion]:
        """All policies that were in force, the newest first; of a server that keeps no state, the fixed one."""
        if self._store is None:
            return [self.in_force]
        newest = await asyncio.to_thread(self._store.newest_version)
        if self._listed_for != (newest, most):  # the guard asks every two seconds, and hardly ever is there a new one
            self._listed = await asyncio.to_thread(self._store.history, most)
            self._listed_for = (newest, most)
        return list(self._listed)

    async def _put(self, store: "PolicyStore", change: "PolicyChange") -> PolicyVersion:
        from voxloop_cloud.routing.policy_change import put_in_force  # noqa: PLC0415 (it loads SQLAlchemy)

        loop = asyncio.get_running_loop()

        def load(key: str) -> Bundle:
            return asyncio.run_coroutine_threadsafe(self._rack.load(key), loop).result().bundle

        new = await asyncio.to_thread(put_in_force, store, change, load, self._audit, self._clock())
        self._router.obey(new)
        return new

    def _stored(self) -> "PolicyStore":
        if self._store is None:
            raise ConfigError(
                "this server keeps no state, so its policy is fixed: its one bundle answers; "
                "start it with 'voxloop serve --state DIR' to route"
            )
        return self._store
