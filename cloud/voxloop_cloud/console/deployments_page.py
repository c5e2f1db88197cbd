"""Which bundle answers whom, what is known of each, and the steps: shadow, canary, ramp, promote, roll back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from voxloop_cloud.console.page import Ask, back_to, number, page
from voxloop_cloud.console.rollout_numbers import answered_by_bundle, heard_by_shadow
from voxloop_cloud.rollout.verdict_store import list_verdicts
from voxloop_cloud.routing.bundle_shelf import keys_here
from voxloop_cloud.routing.policy import Automation, Policy, read_policy
from voxloop_cloud.routing.policy_steps import promoted, rolled_back, with_automation, with_canary, with_shadow
from voxloop_cloud.routing.policy_text import changed_lines, policy_lines
from voxloop_cloud.routing.policy_version import PolicyVersion
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError

SPANS_S: Final = {"hour": 3_600.0, "day": 86_400.0, "week": 604_800.0}
HISTORY: Final = 20
VERDICTS: Final = 20
STEPS: Final = ("shadow", "canary", "promote", "rollback", "automation")


@dataclass(frozen=True, slots=True)
class Standing:
    """A bundle in the policy. share: of the devices that it answers; shadow: of the segments that it listens to."""

    bundle: str
    role: str
    share: float
    shadow: float


def standings(policy: Policy) -> tuple[Standing, ...]:
    """The primary first, then canaries, shadows, and those that stand by."""
    whole = sum(policy.weights.values())
    shadows = {each.bundle: each.share for each in policy.shadows}
    ordered = sorted(policy.bundles, key=lambda key: (key != policy.primary, -policy.weights.get(key, 0.0), key))
    return tuple(
        Standing(key, _role(policy, key), policy.weights.get(key, 0.0) / whole, shadows.get(key, 0.0))
        for key in ordered
    )


def _role(policy: Policy, key: str) -> str:
    if key == policy.primary:
        return "primary"
    if key in policy.canaries:
        return "canary"
    return "shadow" if key in {each.bundle for each in policy.shadows} else "standby"


def _show(ask: Ask) -> Response:
    versions = ask.sources.policies.history(HISTORY + 1)
    if not versions:
        return ask.show("deployments_none.html")
    newest = versions[0]
    history = [
        (version, changed_lines(before.policy, version.policy) if before else None)
        for version, before in zip(versions[:HISTORY], [*versions[1:], None], strict=False)
    ]
    return ask.show(
        "deployments.html",
        version=newest,
        lines=policy_lines(newest.policy),
        standings=standings(newest.policy),
        history=history,
        verdicts=list_verdicts(ask.sources.engine, most=VERDICTS),
        bundles=sorted({*keys_here(), *newest.policy.bundles}),
        canaries=sorted(newest.policy.canaries),
    )


def _numbers(ask: Ask) -> Response:
    """The table of bundles side by side, once the page is there: it counts a span's utterances."""
    span = ask.query.get("span", "day")
    if span not in SPANS_S:
        raise ConfigError(f"span = {span[:20]!r}; allowed are {', '.join(SPANS_S)}")
    since_s = ask.sources.now_s() - SPANS_S[span]
    answered, heard = answered_by_bundle(ask.sources.engine, since_s), heard_by_shadow(ask.sources.engine, since_s)
    in_force = ask.sources.policies.in_force()
    present = [each.bundle for each in standings(in_force.policy)] if in_force else []
    bundles = list(dict.fromkeys([*present, *answered, *heard]))
    rows = [(bundle, answered.get(bundle), heard.get(bundle)) for bundle in bundles]
    return ask.show("bundle_numbers.html", rows=rows, span=span, spans=tuple(SPANS_S))


def _preview(ask: Ask) -> Response:
    """What a step would change, for a person to confirm."""
    before = _in_force(ask)
    after = _step(ask.form, before.policy, ask.sources.policies.history(1_000))
    reason = ask.form.get("reason", "").strip()
    if not reason:
        raise ConfigError("no reason; say in words why, for those who come after you")
    changes = changed_lines(before.policy, after)
    if not changes:
        raise ConfigError("this changes nothing: the policy in force says so already")
    document = json.dumps(after.to_document())
    return ask.show("preview.html", changes=changes, document=document, reason=reason, expected_version=before.version)


def _change(ask: Ask) -> Response:
    """Puts a confirmed policy in force."""
    policy = read_policy(ask.form.get("document", ""))
    expected = number(ask.form.get("expected_version"), "expected_version", least=0, most=1e9)
    ask.sources.policies.change(
        policy,
        ask.user.name,
        ask.form.get("reason", ""),
        int(expected or 0),
        is_forced=ask.form.get("unaudited") == "1",
    )
    return back_to("/deployments")


def _in_force(ask: Ask) -> PolicyVersion:
    found = ask.sources.policies.in_force()
    if found is None:
        raise ConfigError("no policy yet: a server makes the first one when it starts with this state")
    return found


def _step(form: Mapping[str, str], policy: Policy, versions: list[PolicyVersion]) -> Policy:
    step, bundle = form.get("step", ""), form.get("bundle", "").strip()
    if step not in STEPS:
        raise ConfigError(f"step = {step[:20]!r}; allowed are {', '.join(STEPS)}")
    share = (number(form.get("percent"), "percent", least=0.0, most=100.0) or 0.0) / 100.0
    match step:
        case "shadow":
            return with_shadow(policy, bundle, share)
        case "canary":
            return with_canary(policy, bundle, share)
        case "promote":
            return promoted(policy, bundle)
        case "automation":
            least = number(form.get("least_confidence"), "least confidence", least=0.0, most=1.0) or 0.0
            return with_automation(
                policy, read_settings(Automation, flags={"mode": form.get("mode"), "least_confidence": least})
            )
        case _:
            return _earlier(form, versions) or rolled_back(policy, [each.policy for each in versions])


def _earlier(form: Mapping[str, str], versions: list[PolicyVersion]) -> Policy | None:
    wanted = number(form.get("to"), "version", least=1, most=1e9)
    if wanted is None:
        return None
    found = next((each for each in versions if each.version == wanted), None)
    if found is None:
        raise ConfigError(f"there is no version {wanted:g} of the policy; see the history")
    return found.policy


ROUTES: Final[tuple[Route, ...]] = (
    page("/deployments", _show),
    page("/deployments/numbers", _numbers),
    page("/deployments/preview", _preview, posts=True),
    page("/deployments/change", _change, posts=True),
)
