"""A change of the policy: checked, put in force and written into the audit log in one place, whoever asks for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.routing.bundle_shelf import is_audited
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_store import PolicyStore
from voxloop_cloud.routing.policy_version import FORCED, PolicyVersion, primaries
from voxloop_cloud.security.audit_log import AuditLog
from voxloop_proto.errors import ConfigError, VoxloopError

BundleOf = Callable[[str], Bundle]
"""Finds a bundle by its key, whole. Raises ConfigError if it is not here, ContractError if it is damaged."""

TOLD_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What is asked for, by whom and why. expected_version: the one that it changes.

    unaudited: bundles that may be used although their audit has not passed.
    """

    policy: Policy
    author: str
    reason: str
    expected_version: int
    unaudited: frozenset[str] = frozenset()


def put_in_force(
    store: PolicyStore, change: PolicyChange, bundle_of: BundleOf, audit: AuditLog | None, now_s: float
) -> PolicyVersion:
    """Puts a policy in force. Waits for the database and for bundles: not for the event loop. now_s: Unix seconds.

    Every bundle that comes into use must be here, whole, and audited, unless it was the primary before (a step back is
    always open) or is forced by name, which the reason then says. What was done or refused is in the audit log.

    Raises ConfigError if somebody else has changed the policy meanwhile or a bundle is not here or not audited,
    ContractError if one is damaged, UnavailableError if the database is away.
    """
    try:
        new = _put(store, change, bundle_of, now_s)
    except VoxloopError as error:
        _note(audit, "policy.refused", change, why=error.message)
        raise
    _note(audit, "policy.set", change, version=str(new.version), forced=", ".join(sorted(new.forced)))
    return new


def newcomers(before: Policy | None, after: Policy) -> frozenset[str]:
    """Bundles that come into use: to listen is not yet to answer. before: None if there was no policy."""
    if before is None:
        return after.bundles
    return (after.answering - before.answering) | (after.bundles - before.bundles)


def _put(store: PolicyStore, change: PolicyChange, bundle_of: BundleOf, now_s: float) -> PolicyVersion:
    if FORCED in change.reason:
        raise ConfigError(
            f"the reason has {FORCED!r} in it, which is written where a bundle is forced; say it otherwise"
        )
    in_force = store.expect(change.expected_version)
    forced = _forced(store, change, newcomers(in_force.policy if in_force else None, change.policy), bundle_of)
    reason = f"{change.reason} {FORCED}{', '.join(forced)}]" if forced else change.reason
    return store.add(change.policy, change.author, reason, change.expected_version, now_s)


def _forced(store: PolicyStore, change: PolicyChange, new: frozenset[str], bundle_of: BundleOf) -> list[str]:
    """Those of the newcomers that are in use only because they were named."""
    bundles = {key: bundle_of(key) for key in sorted(new)}
    known = primaries(store.history()) if new else frozenset()
    lacking = [key for key, bundle in bundles.items() if key not in known and not is_audited(bundle)]
    if refused := [key for key in lacking if key not in change.unaudited]:
        raise ConfigError(
            f"{', '.join(refused)}: its audit.json does not say that it passed; evaluate and export it with its audit, "
            f"or force it by name, which is recorded: --unaudited {refused[0]}, or 'without an audit' in the console"
        )
    return lacking


def _note(audit: AuditLog | None, action: str, change: PolicyChange, **fields: str) -> None:
    if audit is not None:
        audit.record(action, **{"who": change.author, "reason": change.reason[:TOLD_CHARACTERS], **fields})
