"""An alarm that is to roll a bundle back is one that can fire."""

from pathlib import Path

import pytest

from voxloop_cloud.alarms.config import AlarmsConfig
from voxloop_cloud.alarms.rule_file import read_rules
from voxloop_cloud.rollout.alarm_names import check_alarm_names
from voxloop_cloud.rollout.config import SHIPPED_ALARMS, RolloutConfig
from voxloop_proto.errors import ConfigError


def test_those_of_the_settings_that_ship_are_rules_that_ship_of_bundles_and_wake_somebody_up() -> None:
    rules = {rule.name: rule for rule in read_rules()}
    assert RolloutConfig().alarms == SHIPPED_ALARMS
    for name in SHIPPED_ALARMS:
        assert (rules[name].severity, rules[name].split_by) == ("page", "bundle")


def test_a_name_that_no_rule_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rollout\.alarms names slow_anwsers, which is no rule of .*slow_answers"):
        check_alarm_names(RolloutConfig(alarms=("slow_anwsers", "slow_answers")), AlarmsConfig())
    check_alarm_names(RolloutConfig(alarms=("slow_answers",)), AlarmsConfig())
    check_alarm_names(RolloutConfig(alarms=()), AlarmsConfig(rules=tmp_path / "none.toml"))


def test_alarms_that_nobody_looks_at_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"alarms\.on is false"):
        check_alarm_names(RolloutConfig(alarms=("slow_answers",)), AlarmsConfig(on=False))
    check_alarm_names(RolloutConfig(), AlarmsConfig(on=False))
