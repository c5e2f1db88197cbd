"""Which bundles are being tried, read from the policies that were in force, and what a verdict changes. Pure."""

from collections.abc import Sequence
from typing import Final

from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.rollout.verdict import Kind, Verdict
from voxloop_cloud.routing.policy import Override, Policy
from voxloop_cloud.routing.policy_steps import promoted, with_canary, with_shadow
from voxloop_cloud.routing.policy_version import PolicyVersion

_SHARE_DIGITS: Final = 9


def find_trials(versions: Sequence[PolicyVersion]) -> list[Trial]:
    """Of each bundle that answers or listens in beside the primary, by name. versions: the newest first."""
    if not versions:
        return []
    policy = versions[0].policy
    tried = policy.canaries.union(shadow.bundle for shadow in policy.shadows) - {policy.primary}
    return [_trial(bundle, versions) for bundle in sorted(tried)]


def _trial(bundle: str, versions: Sequence[PolicyVersion]) -> Trial:
    newest = versions[0]
    primary, share = newest.policy.primary, share_of(newest.policy, bundle)
    since = live_since = share_since = newest
    is_live = has_share = True
    for version in versions:
        policy = version.policy
        if policy.primary != primary or not _is_tried(policy, bundle):
            break
        since = version
        is_live = is_live and bundle in policy.answering
        live_since = version if is_live else live_since
        has_share = has_share and share_of(policy, bundle) == share
        share_since = version if has_share else share_since
    return Trial(
        bundle=bundle,
        against=primary,
        share=share,
        since_s=since.created_s,
        live_since_s=live_since.created_s if bundle in newest.policy.answering else None,
        share_since_s=share_since.created_s,
        policy_version=newest.version,
    )


def share_of(policy: Policy, bundle: str) -> float:
    """Of the devices, those that a bundle answers; slices with weights of their own are left out."""
    return round(policy.weights.get(bundle, 0.0) / sum(policy.weights.values()), _SHARE_DIGITS)


def changed_by(verdict: Verdict, policy: Policy) -> Policy:
    """The policy that a verdict asks for."""
    bundle = verdict.trial.bundle
    match verdict.kind:
        case Kind.ROLL_BACK:
            return withdrawn(policy, bundle)
        case Kind.PROMOTE if verdict.next_share >= 1.0:
            return promoted(policy, bundle)
        case Kind.PROMOTE:
            return with_canary(policy, bundle, verdict.next_share)
        case Kind.HOLD:
            return policy


def withdrawn(policy: Policy, bundle: str) -> Policy:
    """The bundle neither answers nor listens in any more, in any slice; the others keep what they have."""
    policy = with_shadow(policy, bundle, 0.0)
    if bundle in policy.weights:
        policy = with_canary(policy, bundle, 0.0)
    overrides = tuple(left for each in policy.overrides if (left := _without(each, bundle)) is not None)
    return Policy.model_validate(dict(policy) | {"overrides": overrides})


def _without(override: Override, bundle: str) -> Override | None:
    """None if the override then says nothing."""
    if bundle not in (override.weights or {}):
        return override
    weights = {key: weight for key, weight in (override.weights or {}).items() if key != bundle}
    if not weights and override.automation is None:
        return None
    return Override(slice=override.slice, weights=weights or None, automation=override.automation)


def _is_tried(policy: Policy, bundle: str) -> bool:
    return bundle in policy.canaries or any(shadow.bundle == bundle for shadow in policy.shadows)


def is_forced(versions: Sequence[PolicyVersion], bundle: str) -> bool:
    """Whether a person let the bundle answer devices without an audit that it passed; to listen is not yet to
    answer."""
    return any(bundle in each.forced and bundle in each.policy.answering for each in versions)
