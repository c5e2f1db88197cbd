"""The steps of a rollout as changes of the policy: shadow, canary, ramp, promote, roll back. Pure."""

from collections.abc import Iterable

from voxloop_cloud.routing.policy import Automation, Override, Policy, Weights
from voxloop_cloud.routing.slices import Slice
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError


def with_shadow(policy: Policy, bundle: str, share: float) -> Policy:
    """The bundle listens in on a share of the segments; on none with 0. Raises ConfigError for the primary alone."""
    if bundle == policy.primary and share > 0 and not policy.canaries:
        raise ConfigError(f"{bundle} answers every segment, so there is nothing to compare it with")
    others: tuple[object, ...] = tuple(each for each in policy.shadows if each.bundle != bundle)
    return _changed(policy, shadows=(*others, {"bundle": bundle, "share": share}) if share > 0 else others)


def with_canary(policy: Policy, bundle: str, share: float, only: Slice | None = None) -> Policy:
    """The bundle answers a share of the devices; none with 0. only: of that slice, and no others.

    What the others have among themselves stays as it is, so that none of their devices moves between them.
    Raises ConfigError for the primary.
    """
    if bundle == policy.primary:
        raise ConfigError(f"{bundle} is the primary already; a canary is another bundle ('voxloop deploy status')")
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"a share of {share:g}; allowed are 0 to 1, 0.05 for 5 % of the devices")
    if only is None:
        return _changed(policy, weights=_shared(policy, policy.weights, bundle, share))
    before = next((each for each in policy.overrides if each.slice == only), Override.model_construct(slice=only))
    weights = _shared(policy, before.weights or policy.weights, bundle, share)
    return _overridden(policy, only, weights, before.automation)


def promoted(policy: Policy, bundle: str) -> Policy:
    """The bundle answers all, in every slice; the one before it stays loaded, one step back. Raises ConfigError."""
    if bundle == policy.primary:
        raise ConfigError(f"{bundle} is the primary already; there is nothing to promote")
    return _to_one(policy, bundle, standby=(policy.primary,))


def rolled_back(policy: Policy, earlier: Iterable[Policy]) -> Policy:
    """One step back: the primary answers all; if it did already, the one before it does. earlier: the newest first.

    Raises ConfigError if there is no step back.
    """
    if policy.canaries:
        return _to_one(policy, policy.primary, policy.standby)
    for older in earlier:
        if older.primary != policy.primary:
            return _to_one(policy, older.primary, standby=(policy.primary,))
    raise ConfigError(
        f"{policy.primary} answers every segment, and has been the primary since the first policy: "
        "there is no step back; name a version with --to ('voxloop deploy history')"
    )


def with_automation(policy: Policy, automation: Automation, only: Slice | None = None) -> Policy:
    """The degree of automation, for all or for one slice."""
    if only is None:
        return _changed(policy, automation=automation)
    before = next((each for each in policy.overrides if each.slice == only), Override.model_construct(slice=only))
    return _overridden(policy, only, before.weights, automation)


def _to_one(policy: Policy, bundle: str, standby: tuple[str, ...]) -> Policy:
    """One bundle answers everywhere; degrees of automation stay."""
    automations = tuple(
        Override(slice=each.slice, automation=each.automation) for each in policy.overrides if each.automation
    )
    return _changed(
        policy,
        primary=bundle,
        weights={bundle: 1.0},
        overrides=automations,
        shadows=tuple(each for each in policy.shadows if each.bundle != bundle),
        standby=tuple(each for each in standby if each != bundle),
    )


def _shared(policy: Policy, weights: Weights, bundle: str, share: float) -> Weights:
    """The weights with one bundle's share of the devices set, adding up to 1."""
    if share >= 1.0:
        return {bundle: 1.0}
    others = {key: weight for key, weight in weights.items() if key != bundle} or {policy.primary: 1.0}
    whole = sum(others.values())
    shared = {key: (1.0 - share) * weight / whole for key, weight in others.items()}
    return shared | ({bundle: share} if share > 0 else {})


def _overridden(policy: Policy, only: Slice, weights: Weights | None, automation: Automation | None) -> Policy:
    """An override in the place of the slice's former one, or after all others."""
    new = {"slice": only, "weights": weights, "automation": automation}
    slices = [each.slice for each in policy.overrides]
    if only not in slices:
        return _changed(policy, overrides=(*policy.overrides, new))
    place = slices.index(only)
    return _changed(policy, overrides=(*policy.overrides[:place], new, *policy.overrides[place + 1 :]))


def _changed(policy: Policy, **changes: object) -> Policy:
    """The policy with some fields new, checked as a whole. Raises ConfigError."""
    return read_settings(Policy, flags=dict(policy) | changes)
