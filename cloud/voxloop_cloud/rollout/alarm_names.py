"""The alarms that roll a bundle back must be ones that can fire."""

from voxloop_cloud.alarms.config import AlarmsConfig
from voxloop_cloud.alarms.rule_file import SHIPPED_RULES, read_rules
from voxloop_cloud.rollout.config import SHIPPED_ALARMS, RolloutConfig
from voxloop_proto.errors import ConfigError


def check_alarm_names(rollout: RolloutConfig, alarms: AlarmsConfig) -> None:
    """Raises ConfigError for a name that no rule has, or if nobody looks at the rules; those that ship may be missing
    from a file of one's own."""
    named = set(rollout.alarms) - set(SHIPPED_ALARMS)
    if named and not alarms.on:
        raise ConfigError(
            f"rollout.alarms names {', '.join(sorted(named))}, and alarms.on is false, so that none ever fires; "
            "leave out one of the two"
        )
    known = {rule.name for rule in read_rules(alarms.rules or SHIPPED_RULES)} if named else set()
    if unknown := sorted(named - known):
        raise ConfigError(
            f"rollout.alarms names {', '.join(unknown)}, which is no rule of {alarms.rules or SHIPPED_RULES}; "
            f"allowed are {', '.join(sorted(known))}"
        )
