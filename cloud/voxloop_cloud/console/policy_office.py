"""Changes the policy from outside of the servers, which look at the store every quarter of a second."""

import time
from collections.abc import Callable

from sqlalchemy import Engine

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.routing.bundle_shelf import find_keyed, is_audited
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_store import PolicyStore
from voxloop_cloud.routing.policy_version import PolicyVersion, primaries
from voxloop_proto.errors import ConfigError


class PolicyOffice:
    """The policy's table, with the checks of a server's own desk (routing/policy_desk.py).

    A bundle that comes into use must be on this machine, whole, and audited, unless it was the primary before, or is
    forced, which is recorded.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        """clock: Unix seconds."""
        self._store = PolicyStore(engine)
        self._clock = clock

    def in_force(self) -> PolicyVersion | None:
        """None if no server has begun with this store yet."""
        return self._store.newest()

    def history(self, most: int) -> list[PolicyVersion]:
        """The newest first."""
        return self._store.history(most)

    def change(self, policy: Policy, author: str, reason: str, expected_version: int, is_forced: bool) -> PolicyVersion:
        """Puts a policy in force. Raises ConfigError as the desk does, ContractError for a damaged bundle."""
        self._store.check_newest(expected_version)
        lacking = self._unaudited(policy)
        if lacking and not is_forced:
            raise ConfigError(
                f"{', '.join(lacking)}: its audit.json does not say that it passed; evaluate and export it with its "
                "audit, or take it all the same by ticking 'without an audit', which is recorded"
            )
        told = f"{reason} [without an audit: {', '.join(lacking)}]" if lacking else reason
        return self._store.add(policy, author, told, expected_version, self._clock())

    def _unaudited(self, policy: Policy) -> list[str]:
        in_force = self.in_force()
        before = in_force.policy if in_force else None
        new = (policy.answering - before.answering) | (policy.bundles - before.bundles) if before else policy.bundles
        known = primaries(self._store.history()) if new else frozenset()
        return [key for key in sorted(new) if not is_audited(load_bundle(find_keyed(key))) and key not in known]
