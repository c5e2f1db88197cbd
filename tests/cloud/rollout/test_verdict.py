"""Promote, hold, roll back: what decides, and how it reads."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.rollout.checks import Audit, Checks, MustNotFail, WrongClip
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.evidence import Evidence
from voxloop_cloud.rollout.measures import Comparison, Hearing, LabelledPair, LiveUtterance
from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.rollout.verdict import Case, Kind, judge

CONFIG = RolloutConfig()
SHADOW = Trial("model@2", "model@1", 0.0, 100.0, None, 100.0, 7)
CANARY = replace(SHADOW, share=0.25, live_since_s=200.0, share_since_s=300.0)
PASSED = Checks(Audit(is_there=True))

SAME = Comparison(Hearing(False, 0.9, 10.0), Hearing(False, 0.9, 10.0), 0, 4)
BETTER = LabelledPair("turn the light on", "turn light on", "turn the light on")
ALIKE = LabelledPair("turn the light on", "turn the light on", "turn the light on")
WORSE = LabelledPair("turn the light on", "turn the light on", "turn light on")


def case(trial: Trial = SHADOW, evidence: Evidence | None = None, checks: Checks = PASSED, answered: int = 0) -> Case:
    evidence = evidence or Evidence(CONFIG)
    return Case(trial, evidence.findings(), checks, answered, evidence.moved_devices, evidence.unmatched)


def gathered(pairs: list[LabelledPair], comparisons: int = 1_000, config: RolloutConfig = CONFIG) -> Evidence:
    evidence = Evidence(config)
    evidence.compare([SAME] * comparisons)
    evidence.label(pairs)
    return evidence


def with_live(evidence: Evidence, rounds: int, failed: bool = False) -> Evidence:
    """Two devices with a past, one of which moves."""
    past = [LiveUtterance("", False, False, False, 15.0, None, 0.0)] * 100
    for number in range(2 * (rounds // 100 + 1)):
        evidence.remember(f"device-{number}", past)
    for count in range(rounds):
        moved, stays = f"device-{2 * (count // 100)}", f"device-{2 * (count // 100) + 1}"
        evidence.hear([
            LiveUtterance(stays, False, False, False, 15.0, None, 0.0),
            LiveUtterance(moved, True, failed, False, 15.0, None, 0.0),
        ])  # fmt: skip
    return evidence


def test_without_evidence_it_holds_and_says_how_much_it_takes() -> None:
    verdict = judge(case(), CONFIG)
    assert verdict.kind is Kind.HOLD
    assert verdict.reason.startswith("Hold model@2, tried against model@1: ")
    assert "more labelled utterances that both heard would prove it" in verdict.text
    assert verdict.evidence["guards"]["word_errors"]["needed"] > 0


def test_a_better_bundle_is_promoted_to_the_first_step() -> None:
    verdict = judge(case(evidence=gathered([BETTER, ALIKE] * 150)), CONFIG)
    assert verdict.kind is Kind.PROMOTE
    assert verdict.next_share == CONFIG.steps[0]
    assert "1 % of the devices" in verdict.reason
    assert "word errors on labelled utterances: -12.5 points [" in verdict.text


def test_a_worse_bundle_is_rolled_back_and_the_text_says_by_how_much() -> None:
    verdict = judge(case(evidence=gathered([WORSE, ALIKE] * 100)), CONFIG)
    assert verdict.kind is Kind.ROLL_BACK
    assert "word errors on labelled utterances rose by 12.5 points, at least " in verdict.reason
    assert verdict.evidence["harms"]


def test_what_looks_worse_than_the_margin_will_never_be_proven_fine_and_the_text_says_so() -> None:
    verdict = judge(case(evidence=gathered([WORSE] + [ALIKE] * 9)), CONFIG)
    assert verdict.kind is Kind.HOLD
    assert "as it looks, no number of labelled utterances that both heard would prove it" in verdict.text


@pytest.mark.parametrize(
    ("changed", "guard"),
    [
        (replace(SAME, candidate=Hearing(True, 0.9, 10.0)), "nulls"),
        (replace(SAME, candidate=Hearing(False, 0.5, 10.0)), "doubt"),
        (replace(SAME, candidate=Hearing(False, 0.9, 100.0)), "slowness"),
    ],
)
def test_each_guard_of_what_both_heard_rolls_back(changed: Comparison, guard: str) -> None:
    evidence = gathered([])
    evidence.compare([changed] * 2_500)
    verdict = judge(case(evidence=evidence), CONFIG)
    assert verdict.kind is Kind.ROLL_BACK
    assert verdict.evidence["guards"][guard]["is_harm"]
    assert [key for key, found in verdict.evidence["guards"].items() if found["is_harm"]] == [guard]


def test_words_that_differ_are_harm_only_where_no_labels_say_whose_are_right() -> None:
    differing = [replace(SAME, errors=4)] * 600
    unlabelled = RolloutConfig(needs_labels=False)
    evidence = Evidence(unlabelled)
    evidence.compare(differing)
    verdict = judge(case(evidence=evidence), unlabelled)
    assert verdict.kind is Kind.ROLL_BACK
    assert "words that differ from the present text: 100.0 %, at least " in verdict.reason
    assert judge(case(evidence=evidence), CONFIG).kind is Kind.HOLD
    evidence.label([BETTER, ALIKE] * 150)
    assert judge(case(evidence=evidence), CONFIG).kind is Kind.PROMOTE


def test_a_bundle_that_answers_with_other_words_is_taken_off_unless_labels_speak_for_it() -> None:
    """To listen in while labels come harms nobody; devices get what a canary says."""
    evidence = gathered([], comparisons=0)
    evidence.compare([replace(SAME, errors=4)] * 60)
    taken_off = judge(case(CANARY, evidence), CONFIG)
    assert taken_off.kind is Kind.ROLL_BACK
    assert "words that differ from the present text: 100.0 %, at least " in taken_off.reason
    assert judge(case(SHADOW, evidence), CONFIG).kind is Kind.HOLD
    evidence.label([WORSE] + [ALIKE] * 9)
    assert judge(case(CANARY, evidence), CONFIG).kind is Kind.ROLL_BACK
    evidence.label([BETTER] * 2)
    assert judge(case(CANARY, evidence), CONFIG).kind is Kind.HOLD


def test_half_of_the_words_must_be_proven_to_differ() -> None:
    evidence = gathered([], comparisons=0)
    evidence.compare([replace(SAME, errors=2), SAME] * 300)
    assert judge(case(CANARY, evidence), CONFIG).kind is Kind.HOLD


def test_a_reason_is_short_however_long_the_texts_of_clips_are() -> None:
    wrong = WrongClip("c" * 5_000, "word " * 5_000, "other " * 5_000)
    verdict = judge(case(checks=replace(PASSED, must_not_fail=MustNotFail(1, (wrong,)))), CONFIG)
    assert verdict.kind is Kind.ROLL_BACK
    assert len(verdict.reason) < 500


def test_the_step_to_all_devices_asks_for_live_evidence_and_the_steps_before_do_not() -> None:
    evidence = gathered([BETTER, ALIKE] * 150)
    early = judge(case(replace(CANARY, share=0.05), evidence, answered=500), CONFIG)
    late = judge(case(CANARY, evidence, answered=500), CONFIG)
    assert (early.kind, early.next_share) == (Kind.PROMOTE, 0.25)
    assert late.kind is Kind.HOLD
    assert "failed segments worse by less than 2 points is not proven" in late.reason
    proven = judge(case(CANARY, with_live(evidence, 1_500), answered=1_500), CONFIG)
    assert (proven.kind, proven.next_share) == (Kind.PROMOTE, 1.0)
    assert "to all devices" in proven.reason


def test_a_step_waits_for_its_utterances() -> None:
    verdict = judge(case(replace(CANARY, share=0.05), gathered([BETTER, ALIKE] * 150), answered=199), CONFIG)
    assert verdict.kind is Kind.HOLD
    assert "1 more utterances are to be answered at this share" in verdict.reason


def test_failures_on_the_devices_that_it_answers_roll_back() -> None:
    verdict = judge(case(CANARY, with_live(gathered([]), 60, failed=True), answered=60), CONFIG)
    assert verdict.kind is Kind.ROLL_BACK
    assert "failed segments rose by 100.0 points" in verdict.reason


@pytest.mark.parametrize(
    ("checks", "kind", "words"),
    [
        (replace(PASSED, alarms=("too_many_nulls",)), Kind.ROLL_BACK, "the alarm too_many_nulls fired"),
        (
            replace(PASSED, must_not_fail=MustNotFail(3, (WrongClip("stop", "stop", "shop"),))),
            Kind.ROLL_BACK,
            "1 of 3 clips that must not fail did, first stop: 'shop' in place of 'stop'",
        ),
        (replace(PASSED, must_not_fail=MustNotFail(3)), Kind.PROMOTE, "proven to be within every margin"),
        (Checks(Audit(is_there=False)), Kind.HOLD, "it has no audit"),
        (Checks(Audit(True, ("int8_keeps_wer",))), Kind.HOLD, "its audit failed at int8_keeps_wer"),
        (Checks(Audit(is_there=False), is_forced=True), Kind.PROMOTE, "proven to be within every margin"),
    ],
)
def test_what_is_asked_apart_from_traffic_decides_too(checks: Checks, kind: Kind, words: str) -> None:
    verdict = judge(case(evidence=gathered([BETTER, ALIKE] * 150), checks=checks), CONFIG)
    assert verdict.kind is kind
    assert words in verdict.reason


def test_without_labels_a_bundle_is_promoted_only_where_the_settings_say_so() -> None:
    assert judge(case(evidence=gathered([])), CONFIG).kind is Kind.HOLD
    unlabelled = RolloutConfig(needs_labels=False)
    assert judge(case(evidence=gathered([], config=unlabelled)), unlabelled).kind is Kind.PROMOTE


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.sampled_from([BETTER, ALIKE, WORSE]), max_size=60),
    st.lists(st.sampled_from([SAME, replace(SAME, errors=2), replace(SAME, candidate=Hearing(True, 0.3, 30.0))])),
    st.booleans(),
)
def test_harm_always_wins_and_a_promotion_lacks_nothing(
    pairs: list[LabelledPair], comparisons: list[Comparison], passed: bool
) -> None:
    evidence = Evidence(CONFIG)
    evidence.label(pairs)
    evidence.compare(comparisons)
    verdict = judge(case(evidence=evidence, checks=Checks(Audit(passed))), CONFIG)
    found = verdict.evidence
    assert (verdict.kind is Kind.ROLL_BACK) == bool(found["harms"])
    assert (verdict.kind is Kind.PROMOTE) == (not found["harms"] and not found["lacks"])
    assert verdict.text.startswith(verdict.reason)


@pytest.mark.parametrize(("truth", "forbidden"), [(0.0, Kind.ROLL_BACK), (0.02, Kind.PROMOTE)])
def test_whole_rollouts_end_wrongly_no_more_often_than_allowed(truth: float, forbidden: Kind) -> None:
    """Both limits at once, at their worst cases, a verdict after every twentieth utterance.

    truth: word errors that the candidate adds; at the margin it may not be promoted, at 0 not rolled back.
    """
    rng, rollouts, wrong = np.random.default_rng(5), 20, 0
    config = RolloutConfig()
    allowed = config.rates.false_rollback if forbidden is Kind.ROLL_BACK else config.rates.false_promotion
    better, worse = 0.1, 0.1 + 4 * truth  # a quarter of the words of an utterance changes
    for _ in range(rollouts):
        evidence = gathered([], config=config)
        for _ in range(15):
            draws = rng.choice(3, 20, p=[better, 1 - better - worse, worse])
            evidence.label([(BETTER, ALIKE, WORSE)[draw] for draw in draws])
            kind = judge(case(evidence=evidence), config).kind
            if kind is not Kind.HOLD:
                wrong += kind is forbidden
                break
    assert wrong / rollouts <= allowed + 3 * np.sqrt(allowed * (1 - allowed) / rollouts)
