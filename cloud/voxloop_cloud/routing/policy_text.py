"""A policy in words, for people who decide on it."""

from collections.abc import Mapping

from voxloop_cloud.routing.policy import Automation, Mode, Override, Policy

NOBODY = "none"


def policy_lines(policy: Policy) -> dict[str, str]:
    """By topic, in the order in which one reads them."""
    return {
        "primary": policy.primary,
        "answers": _shares(policy.weights),
        "shadows": ", ".join(f"{each.bundle} ({_percent(each.share)})" for each in policy.shadows) or NOBODY,
        "standby": ", ".join(policy.standby) or NOBODY,
        "slices": "; ".join(map(_override, policy.overrides)) or NOBODY,
        "automation": _automation(policy.automation),
    }


def changed_lines(before: Policy, after: Policy) -> dict[str, tuple[str, str]]:
    """What a change changes: by topic, before and after."""
    old, new = policy_lines(before), policy_lines(after)
    return {topic: (old[topic], new[topic]) for topic in old if old[topic] != new[topic]}


def _shares(weights: Mapping[str, float]) -> str:
    whole = sum(weights.values())
    ordered = sorted(weights.items(), key=lambda each: -each[1])
    return ", ".join(f"{bundle} {_percent(weight / whole)}" for bundle, weight in ordered)


def _override(override: Override) -> str:
    parts = [_shares(override.weights)] if override.weights else []
    parts += [_automation(override.automation)] if override.automation else []
    return f"{override.slice}: {', '.join(parts)}"


def _automation(automation: Automation) -> str:
    if automation.mode is Mode.PARTIAL:
        return f"partial, people below a confidence of {automation.least_confidence:g}"
    return str(automation.mode)


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
