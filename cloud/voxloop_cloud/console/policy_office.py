"""Changes the policy from outside of the servers, which look at the store every quarter of a second."""

import time
from collections.abc import Callable

from sqlalchemy import Engine

from voxloop_cloud.bundle import Bundle, load_bundle
from voxloop_cloud.routing.bundle_shelf import find_keyed
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_change import PolicyChange, put_in_force
from voxloop_cloud.routing.policy_store import PolicyStore
from voxloop_cloud.routing.policy_version import PolicyVersion
from voxloop_cloud.security.audit_log import AuditLog


class PolicyOffice:
    """The policy's table, changed by the same way as in a server (routing/policy_change.py)."""

    def __init__(self, engine: Engine, audit: AuditLog | None = None, clock: Callable[[], float] = time.time) -> None:
        """audit: what is done here is written into it. clock: Unix seconds."""
        self._store = PolicyStore(engine)
        self._audit = audit
        self._clock = clock

    def in_force(self) -> PolicyVersion | None:
        """None if no server has begun with this store yet."""
        return self._store.newest()

    def history(self, most: int) -> list[PolicyVersion]:
        """The newest first."""
        return self._store.history(most)

    def change(self, policy: Policy, author: str, reason: str, expected_version: int, is_forced: bool) -> PolicyVersion:
        """Puts a policy in force. is_forced: whatever of it has no audit that it passed. Raises as `put_in_force`."""
        unaudited = policy.bundles if is_forced else frozenset()
        change = PolicyChange(policy, author, reason, expected_version, unaudited)
        return put_in_force(self._store, change, bundle_here, self._audit, self._clock())


def bundle_here(key: str) -> Bundle:
    """A bundle of this machine, whole."""
    return load_bundle(find_keyed(key))
