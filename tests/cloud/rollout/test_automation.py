"""Who answers, and from which confidence on that is the model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.rollout.automation import Answerer, decide, shows_suggestion
from voxloop_cloud.rollout.cost_curve import ALWAYS_REVIEW, Costs, Judged, cost_curve, pick
from voxloop_cloud.routing.policy import Mode

JUDGED = st.lists(
    st.builds(Judged, st.sampled_from([0.0, 0.2, 0.2000001, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40
)
COSTS = st.builds(Costs, st.floats(0, 100), st.floats(0, 100))


@pytest.mark.parametrize(
    ("mode", "confidence", "is_audited", "answerer"),
    [
        (Mode.HUMAN, 1.0, False, Answerer.REVIEW),
        (Mode.SHADOW, 1.0, False, Answerer.REVIEW),
        (Mode.ASSISTANCE, 1.0, True, Answerer.REVIEW),
        (Mode.PARTIAL, 0.59, True, Answerer.REVIEW),
        (Mode.PARTIAL, 0.6, False, Answerer.ANSWER),
        (Mode.PARTIAL, 0.6, True, Answerer.BOTH),
        (Mode.FULL, 0.0, False, Answerer.ANSWER),
        (Mode.FULL, 0.0, True, Answerer.BOTH),
    ],
)
def test_each_degree_of_automation_has_its_answerer(
    mode: Mode, confidence: float, is_audited: bool, answerer: Answerer
) -> None:
    assert decide(mode, confidence, 0.6, is_audited) is answerer


def test_people_see_the_models_text_only_where_it_is_to_help_them() -> None:
    assert {mode for mode in Mode if shows_suggestion(mode)} == {Mode.ASSISTANCE, Mode.PARTIAL, Mode.FULL}


@settings(deadline=None)
@given(JUDGED, COSTS)
def test_each_point_of_the_curve_is_what_deciding_by_it_costs(judged: list[Judged], costs: Costs) -> None:
    for point in cost_curve(judged, costs):
        answerers = [(each, decide(Mode.PARTIAL, each.confidence, point.threshold)) for each in judged]
        reviewed = sum(answerer is Answerer.REVIEW for _, answerer in answerers)
        wrong = sum(answerer is Answerer.ANSWER and not each.is_right for each, answerer in answerers)
        assert point.reviewed_ratio == pytest.approx(reviewed / len(judged))
        assert point.wrong_ratio == pytest.approx(wrong / len(judged))
        cost = (reviewed * costs.review + wrong * costs.wrong_answer) / len(judged)
        assert point.cost == pytest.approx(cost)


@settings(deadline=None)
@given(JUDGED, COSTS, st.floats(0, 1))
def test_no_other_threshold_is_cheaper(judged: list[Judged], costs: Costs, threshold: float) -> None:
    reviewed = sum(each.confidence < threshold for each in judged)
    wrong = sum(each.confidence >= threshold and not each.is_right for each in judged)
    cost = (reviewed * costs.review + wrong * costs.wrong_answer) / len(judged)
    assert pick(cost_curve(judged, costs)).cost <= cost + 1e-9


def test_the_extremes_are_full_automation_and_none() -> None:
    judged = [Judged(0.3, False), Judged(0.6, True), Judged(0.9, True)]
    assert pick(cost_curve(judged, Costs(wrong_answer=0.5, review=1.0))).threshold == 0.0
    assert pick(cost_curve(judged, Costs(wrong_answer=5.0, review=1.0))).threshold == pytest.approx(0.45)
    all_wrong = [Judged(each.confidence, False) for each in judged]
    assert pick(cost_curve(all_wrong, Costs(wrong_answer=5.0, review=1.0))).threshold == ALWAYS_REVIEW


def test_without_an_utterance_there_is_no_curve() -> None:
    with pytest.raises(ValueError, match="labelled"):
        cost_curve([], Costs(1.0, 1.0))
