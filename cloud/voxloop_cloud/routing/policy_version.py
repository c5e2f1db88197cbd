"""A policy with its number, and who set it, when and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from voxloop_cloud.routing.policy import Policy

FIXED_VERSION: Final = 0
"""Of the policy of a server that keeps none: its one bundle answers all."""

MOST_LISTED: Final = 1_000

FORCED: Final = "[without an audit: "
"""Ends a reason, with the bundles that were let in by name although their audit has not passed, and a bracket."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy, and who set it, when (Unix seconds) and why."""

    version: int
    created_s: float
    author: str
    reason: str
    policy: Policy

    @property
    def forced(self) -> frozenset[str]:
        """Bundles that this version let in without an audit that they passed."""
        _, mark, names = self.reason.rpartition(FORCED)
        return frozenset(names.removesuffix("]").split(", ")) if mark and names.endswith("]") else frozenset()


def fixed_policy(bundle: str) -> PolicyVersion:
    """Of a server that keeps no state."""
    reason = "this server keeps no state: its one bundle answers"
    return PolicyVersion(FIXED_VERSION, 0.0, "", reason, Policy.of_one(bundle))


def primaries(versions: Iterable[PolicyVersion]) -> frozenset[str]:
    """Bundles that have been in full service."""
    return frozenset(each.policy.primary for each in versions)
