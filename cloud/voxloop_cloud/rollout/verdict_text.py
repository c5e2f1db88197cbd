"""A verdict as a person reads it. Pure."""

from collections.abc import Sequence

from voxloop_cloud.rollout.evidence import Finding
from voxloop_cloud.rollout.guards import Source

_UTTERANCES = {
    Source.LABELLED: "labelled utterances that both heard",
    Source.SHADOWED: "utterances that both heard",
    Source.LIVE: "utterances on devices that were heard before",
}


def harm_in_words(finding: Finding) -> str:
    """Half a sentence that says what got worse."""
    least, estimate = finding.low, finding.estimate or 0.0
    if finding.guard.is_share:
        return f"{finding.guard.measure}: {_percent(estimate)}, at least {_percent(least)}, of {finding.count}"
    return (
        f"{finding.guard.measure} rose by {100 * estimate:.1f} points, at least {100 * least:.1f}, "
        f"on {finding.count} {_UTTERANCES[finding.guard.source]}"
    )


def lack_in_words(finding: Finding) -> str:
    """Half a sentence that says what is still unknown, and how much it takes to know it."""
    limit = finding.limits.margin
    margin = _percent(limit) if finding.guard.is_share else f"{100 * limit:g} points"
    below = "below" if finding.guard.is_share else "worse by less than"
    return f"{finding.guard.measure} {below} {margin} is not proven, {_needed(finding)}"


def in_words(reason: str, harms: Sequence[str], lacks: Sequence[str], findings: Sequence[Finding], heard: str) -> str:
    """The reason, what was compared, each guard with its interval, and what decided."""
    lines = [reason, f"Compared: {heard}."]
    lines += [f"- {_line(finding)}" for finding in findings]
    lines += [f"Against it: {harm}." for harm in harms]
    lines += [f"Missing: {lack}." for lack in lacks]
    lines.append("Intervals hold at every look, not at one alone.")
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    if finding.estimate is None:
        return f"{finding.guard.measure}: nothing known"
    shown = _percent if finding.guard.is_share else _points
    state = "harm" if finding.is_harm else "fine" if finding.is_fine else "not known yet"
    interval = f"[{shown(finding.low)}, {shown(finding.high)}]"
    return f"{finding.guard.measure}: {shown(finding.estimate)} {interval} on {finding.count}: {state}"


def _needed(finding: Finding) -> str:
    what = _UTTERANCES[finding.guard.source]
    if finding.needed is None:
        return f"and as it looks, no number of {what} would prove it"
    return f"about {_round(finding.needed)} more {what} would prove it"


def _round(count: int) -> int:
    """To two digits: it is a guess."""
    digits = max(0, len(str(count)) - 2)
    return round(count, -digits)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"
