"""What is watched of an utterance."""

import math

import pytest

from voxloop_cloud.drift.metric import METRICS, PACE

METRIC_OF = {metric.name: metric for metric in METRICS}


def test_pace_is_of_the_text_and_the_voice_alone_in_octaves() -> None:
    row = {"characters_per_s": 8.0, "voiced_ratio": 0.5}
    assert METRIC_OF[PACE].of(row) == 4.0


@pytest.mark.parametrize("missing", [{"characters_per_s": 0.0}, {"voiced_ratio": 0.0}, {"voiced_ratio": None}])
def test_without_text_or_voice_there_is_no_pace(missing: dict[str, float | None]) -> None:
    assert math.isnan(METRIC_OF[PACE].of({"characters_per_s": 8.0, "voiced_ratio": 0.5, **missing}))


def test_users_who_repeat_type_or_correct_did_not_get_what_they_said() -> None:
    redone = METRIC_OF["is_redone"]
    assert [redone.of({"outcome": outcome}) for outcome in ("redone", "typed", "corrected")] == [1.0] * 3
    assert redone.of({"outcome": None}) == 0.0
