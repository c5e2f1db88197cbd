"""Which bundles are tried, since when, and what a verdict makes of the policy."""

import pytest

from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.rollout.trials import find_trials, is_forced, withdrawn
from voxloop_cloud.routing.policy import Automation, Mode, Override, Policy
from voxloop_cloud.routing.policy_steps import promoted, with_canary, with_shadow
from voxloop_cloud.routing.policy_version import PolicyVersion
from voxloop_cloud.routing.slices import Slice

OLD, NEW, OTHER = "model@1", "model@2", "model@3"
ALONE = Policy.of_one(OLD)
SHADOWED = with_shadow(ALONE, NEW, 1.0)
CANARY = with_canary(SHADOWED, NEW, 0.05)
MORE = with_canary(CANARY, NEW, 0.25)


def versions(*policies: Policy) -> list[PolicyVersion]:
    """The newest first, a version each 100 s."""
    found = [PolicyVersion(n, 100.0 * n, "ann", "why", policy) for n, policy in enumerate(policies, start=1)]
    return found[::-1]


def test_where_nothing_is_tried_there_is_no_trial() -> None:
    assert find_trials([]) == find_trials(versions(ALONE)) == find_trials(versions(CANARY, ALONE)) == []


def test_a_trial_knows_since_when_it_listens_answers_and_has_its_share() -> None:
    [trial] = find_trials(versions(ALONE, SHADOWED, CANARY, CANARY, MORE, MORE))
    assert trial == Trial(NEW, OLD, 0.25, since_s=200.0, live_since_s=300.0, share_since_s=500.0, policy_version=6)
    [before] = find_trials(versions(ALONE, SHADOWED))
    assert before == Trial(NEW, OLD, 0.0, 200.0, None, 200.0, 2)


def test_a_bundle_that_is_tried_again_begins_anew() -> None:
    [trial] = find_trials(versions(CANARY, ALONE, SHADOWED))
    assert trial.since_s == 300.0


def test_a_new_primary_begins_all_trials_anew() -> None:
    policy = with_shadow(MORE, OTHER, 1.0)
    [trial] = find_trials(versions(policy, promoted(policy, NEW)))
    assert (trial.bundle, trial.against, trial.since_s) == (OTHER, NEW, 200.0)


def test_a_canary_of_one_slice_is_live_and_has_no_share_of_all() -> None:
    policy = with_canary(ALONE, NEW, 0.5, Slice(device_kind="pi"))
    [trial] = find_trials(versions(ALONE, policy))
    assert (trial.share, trial.live_since_s) == (0.0, 200.0)


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (MORE, ALONE),
        (with_shadow(MORE, OTHER, 0.5), with_shadow(ALONE, OTHER, 0.5)),
        (with_canary(MORE, NEW, 0.5, Slice(vad_kind="onnx")), ALONE),
    ],
)
def test_what_is_withdrawn_neither_answers_nor_listens(policy: Policy, left: Policy) -> None:
    found = withdrawn(policy, NEW)
    assert NEW not in found.bundles
    assert found.shadows == left.shadows
    assert set(found.weights) == {OLD}


def test_withdrawing_leaves_degrees_of_automation_as_they_are() -> None:
    only = Slice(device_kind="pi")
    human = Override(slice=only, weights={NEW: 1.0}, automation=Automation(mode=Mode.HUMAN))
    policy = Policy.model_validate(dict(MORE) | {"overrides": (human,)})
    assert withdrawn(policy, NEW).overrides == (Override(slice=only, automation=human.automation),)


def test_who_was_let_in_without_an_audit_is_known_by_name() -> None:
    forced = PolicyVersion(2, 200.0, "ann", f"try it [without an audit: {OTHER}, {NEW}]", CANARY)
    assert is_forced([forced], NEW)
    assert not is_forced([forced], OLD)
    assert not is_forced(versions(ALONE, SHADOWED), NEW)


def test_a_bundle_is_not_forced_by_anothers_longer_name_nor_by_words_of_a_person() -> None:
    live = with_canary(ALONE, "model@22", 0.1)
    assert is_forced([PolicyVersion(2, 200.0, "ann", "[without an audit: model@22]", live)], "model@22")
    assert not is_forced([PolicyVersion(2, 200.0, "ann", "[without an audit: model@22]", CANARY)], NEW)
    assert not is_forced([PolicyVersion(2, 200.0, "ann", f"not [without an audit: {NEW}] this time", CANARY)], NEW)


def test_who_was_forced_to_listen_is_not_forced_to_answer() -> None:
    reason = f"[without an audit: {NEW}]"
    assert not is_forced([PolicyVersion(2, 200.0, "ann", reason, SHADOWED)], NEW)
    assert is_forced([PolicyVersion(2, 200.0, "ann", reason, CANARY)], NEW)
