"""Promote, hold or roll back: what the evidence says of a bundle, and why, in words for a person. Pure."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from voxloop_cloud.rollout.bounded_mean import FEW
from voxloop_cloud.rollout.checks import Checks
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.evidence import Finding
from voxloop_cloud.rollout.guards import DISAGREEMENT, WORD_ERRORS, Source
from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.rollout.verdict_text import harm_in_words, in_words, lack_in_words

_SHOWN: Final = 80
"""Characters of a text in a reason, which is one sentence."""


class Kind(StrEnum):
    """What to do with a bundle."""

    PROMOTE = "promote"
    HOLD = "hold"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason: one sentence. text: all of it. next_share: of the devices, for one that is promoted."""

    kind: Kind
    trial: Trial
    reason: str
    text: str
    evidence: dict[str, Any]
    next_share: float


@dataclass(frozen=True, slots=True)
class Case:
    """All that a verdict is made from. answered: utterances that the bundle answered with its present share.

    moved_devices, unmatched: as of Evidence.
    """

    trial: Trial
    findings: tuple[Finding, ...]
    checks: Checks
    answered: int
    moved_devices: int
    unmatched: int


def judge(case: Case, config: RolloutConfig) -> Verdict:
    """Harm that is proven, by any guard, alarm or clip, rolls back; a promotion needs proof from all; else it holds."""
    next_share = case.trial.next_share(config.steps)
    harms, lacks = _harms(case, config), _lacks(case, config, next_share)
    kind = Kind.ROLL_BACK if harms else Kind.HOLD if lacks else Kind.PROMOTE
    reason = _reason(kind, case, harms or lacks, next_share)
    return Verdict(
        kind=kind,
        trial=case.trial,
        reason=reason,
        text=in_words(reason, harms, [] if harms else lacks, case.findings, _heard(case)),
        evidence=_to_json(case, harms, lacks),
        next_share=next_share,
    )


def _harms(case: Case, config: RolloutConfig) -> list[str]:
    """What is proven against the bundle, each as half a sentence."""
    checks = case.checks
    harms = [f"the alarm {rule} fired" for rule in checks.alarms]
    if checks.must_not_fail and checks.must_not_fail.wrong:
        wrong = checks.must_not_fail.wrong
        first = wrong[0]
        harms.append(
            f"{len(wrong)} of {checks.must_not_fail.clips} clips that must not fail did, "
            f"first {first.clip_id[:_SHOWN]}: {_quoted(first.heard)} in place of {_quoted(first.wanted)}"
        )
    return harms + [
        harm_in_words(finding)
        for finding in case.findings
        if finding.is_harm and (finding.guard is not DISAGREEMENT or _counts_against(case, config))
    ]


def _counts_against(case: Case, config: RolloutConfig) -> bool:
    """Whether words that differ are harm, though they do not say whose are right.

    Where labels are to decide, a bundle that only listens in may wait for them. One that answers devices may not: it is
    taken off, unless the labels that there are speak for it.
    """
    if not config.needs_labels:
        return True
    labelled = next((finding for finding in case.findings if finding.guard is WORD_ERRORS), None)
    is_spoken_for = labelled is not None and labelled.count >= FEW and (labelled.estimate or 0.0) <= 0.0
    return case.trial.live_since_s is not None and not is_spoken_for


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _lacks(case: Case, config: RolloutConfig, next_share: float) -> list[str]:
    """What a promotion still needs, each as half a sentence."""
    lacks = []
    checks = case.checks
    if not checks.audit.has_passed and not checks.is_forced:
        failed = ", ".join(checks.audit.failed_gates)
        lacks.append(f"its audit failed at {failed}" if checks.audit.is_there else "it has no audit")
    if config.must_not_fail and checks.must_not_fail is None:
        lacks.append("the clips that must not fail are still being heard")
    if case.trial.share > 0 and case.answered < config.step_utterances:
        lacks.append(f"{config.step_utterances - case.answered} more utterances are to be answered at this share")
    required = _required(case.trial, config, next_share)
    missing = [finding for finding in case.findings if finding.guard.source in required and not finding.is_fine]
    if config.needs_labels and all(finding.guard is not WORD_ERRORS for finding in missing):
        missing = [finding for finding in missing if finding.guard is not DISAGREEMENT]  # it differs, and is right
    return lacks + [lack_in_words(finding) for finding in missing]


def _required(trial: Trial, config: RolloutConfig, next_share: float) -> set[Source]:
    """Live evidence is asked for by the step to all devices: the steps before it are there to gather it."""
    required = {Source.SHADOWED}
    if config.needs_labels:
        required.add(Source.LABELLED)
    if trial.share > 0 and next_share >= 1.0:
        required.add(Source.LIVE)
    return required


def _reason(kind: Kind, case: Case, why: list[str], next_share: float) -> str:
    bundle, against = case.trial.bundle, case.trial.against
    more = f", and {len(why) - 1} more" if len(why) > 1 else ""
    match kind:
        case Kind.ROLL_BACK:
            return f"Roll back {bundle}, tried against {against}: {why[0]}{more}."
        case Kind.HOLD:
            return f"Hold {bundle}, tried against {against}: {why[0]}{more}."
        case Kind.PROMOTE:
            where = "all devices" if next_share >= 1.0 else f"{100 * next_share:g} % of the devices"
            return f"Promote {bundle} to {where}: it is proven to be within every margin of {against}."


def _heard(case: Case) -> str:
    counts = {source: max((f.count for f in case.findings if f.guard.source is source), default=0) for source in Source}
    live = (
        f"; {case.answered} answered by {case.trial.bundle} at its present share; {case.moved_devices} of its devices "
        f"were heard before ({case.unmatched} utterances without a counterpart from then)"
        if case.trial.share > 0
        else ""
    )
    return f"{counts[Source.SHADOWED]} utterances heard by both, {counts[Source.LABELLED]} of them labelled{live}"


def _to_json(case: Case, harms: list[str], lacks: list[str]) -> dict[str, Any]:
    """What VERDICTS keeps: plain values."""
    guards = {
        finding.guard.key: {
            "measure": finding.guard.measure,
            "count": finding.count,
            "estimate": finding.estimate,
            "low": finding.low,
            "high": finding.high,
            "harm": finding.limits.harm,
            "margin": finding.limits.margin,
            "is_harm": finding.is_harm,
            "is_fine": finding.is_fine,
            "needed": finding.needed,
        }
        for finding in case.findings
    }
    return {
        "share": case.trial.share,
        "answered": case.answered,
        "moved_devices": case.moved_devices,
        "unmatched": case.unmatched,
        "guards": guards,
        "checks": asdict(case.checks),
        "harms": harms,
        "lacks": lacks,
    }
