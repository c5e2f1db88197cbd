"""The steps of a rollout change what they say, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.routing.policy import Automation, Mode, Policy, choose
from voxloop_cloud.routing.policy_steps import promoted, rolled_back, with_automation, with_canary, with_shadow
from voxloop_cloud.routing.policy_text import changed_lines, policy_lines
from voxloop_cloud.routing.slices import Slice, Slices
from voxloop_proto.errors import ConfigError

OLD, NEW, THIRD = "en@1", "en@2", "en@3"
ALONE = Policy.of_one(OLD)
PI = Slice(device_kind="pi")


@given(share=st.floats(0.001, 0.999), second=st.floats(0.001, 0.999))
def test_a_canary_gets_its_share_and_the_others_keep_theirs_among_themselves(share: float, second: float) -> None:
    two = with_canary(ALONE, NEW, share)
    assert two.weights == pytest.approx({OLD: 1.0 - share, NEW: share})
    three = with_canary(two, THIRD, second)
    assert three.weights[THIRD] == pytest.approx(second)
    assert three.weights[NEW] / three.weights[OLD] == pytest.approx(share / (1.0 - share))
    assert with_canary(three, THIRD, 0.0).weights == pytest.approx(two.weights)


def test_a_canary_may_have_everybody_and_is_not_the_primary_for_that() -> None:
    whole = with_canary(ALONE, NEW, 1.0)
    assert whole.weights == {NEW: 1.0}
    assert (whole.primary, set(whole.canaries)) == (OLD, {NEW})
    assert with_canary(whole, NEW, 0.5).weights == {OLD: 0.5, NEW: 0.5}


def test_a_canary_of_a_slice_leaves_the_rest_alone() -> None:
    found = with_canary(with_automation(ALONE, Automation(mode=Mode.HUMAN), PI), NEW, 1.0, PI)
    assert choose(found, "d", Slices()).bundle == OLD
    at_pi = choose(found, "d", Slices(device_kind="pi"))
    assert (at_pi.bundle, at_pi.automation.mode) == (NEW, Mode.HUMAN)
    assert len(found.overrides) == 1


def test_a_shadow_begins_changes_and_ends() -> None:
    found = with_shadow(with_shadow(ALONE, NEW, 1.0), NEW, 0.25)
    assert [(each.bundle, each.share) for each in found.shadows] == [(NEW, 0.25)]
    assert with_shadow(found, NEW, 0.0) == ALONE


def test_a_promotion_is_for_everybody_and_leaves_one_step_back() -> None:
    before = with_canary(with_canary(with_shadow(ALONE, NEW, 1.0), NEW, 0.5), THIRD, 1.0, PI)
    after = promoted(with_automation(before, Automation(mode=Mode.ASSISTANCE), PI), NEW)
    assert (after.primary, after.weights, after.standby, after.shadows) == (NEW, {NEW: 1.0}, (OLD,), ())
    assert [(each.weights, each.automation) for each in after.overrides] == [(None, Automation(mode=Mode.ASSISTANCE))]


def test_a_rollback_ends_canaries_first_and_then_the_last_promotion() -> None:
    second = promoted(ALONE, NEW)
    third = with_canary(with_canary(second, THIRD, 0.1), THIRD, 0.5, PI)
    assert rolled_back(third, [second, ALONE]) == second
    back = rolled_back(second, [second, ALONE])
    assert (back.primary, back.weights, back.standby) == (OLD, {OLD: 1.0}, (NEW,))
    with pytest.raises(ConfigError, match="there is no step back"):
        rolled_back(ALONE, [ALONE])


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (lambda: with_canary(ALONE, OLD, 0.1), "is the primary already"),
        (lambda: with_canary(ALONE, NEW, 1.5), "allowed are 0 to 1"),
        (lambda: with_canary(ALONE, "en 2", 0.5), "NAME@VERSION"),
        (lambda: with_shadow(ALONE, OLD, 1.0), "nothing to compare"),
        (lambda: with_shadow(ALONE, "nonsense", 1.0), "NAME@VERSION"),
        (lambda: promoted(ALONE, OLD), "nothing to promote"),
        (lambda: promoted(ALONE, "nonsense"), "primary = 'nonsense'"),
    ],
)
def test_a_step_that_cannot_be_is_refused(step: "object", said: str) -> None:
    assert callable(step)
    with pytest.raises(ConfigError) as refused:
        step()
    assert said in refused.value.message


def test_what_changes_is_told_and_nothing_else() -> None:
    after = with_shadow(with_canary(ALONE, NEW, 0.05), THIRD, 0.5)
    assert changed_lines(ALONE, after) == {
        "answers": ("en@1 100 %", "en@1 95 %, en@2 5 %"),
        "shadows": ("none", "en@3 (50 %)"),
    }
    partial = Automation(mode=Mode.PARTIAL, least_confidence=0.8)
    lines = policy_lines(with_automation(after, partial, PI))
    assert lines["slices"] == "device_kind=pi: partial, people below a confidence of 0.8"
    assert lines["automation"] == "full"
