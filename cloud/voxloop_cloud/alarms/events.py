"""What an evaluation says: an alarm fired or resolved, data went missing or came."""

from dataclasses import dataclass
from enum import Enum

from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.series import Labels


class Cause(Enum):
    """Why an alarm resolved."""

    BACK = "back within bounds"
    MISSING = "no data, which this rule counts as fine"
    CHANGED = "the rule is gone or split otherwise"


@dataclass(frozen=True, slots=True)
class Fired:
    """The rule's figure has been beyond its threshold for long enough. value: None if its data are missing."""

    rule: Rule
    labels: Labels
    at_s: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """An alarm is over. rule: its name, for the rule itself may be gone. value: None if there is none."""

    rule: str
    labels: Labels
    at_s: float
    fired_s: float
    value: float | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class DataMissing:
    """A figure that was there can't be told now: no series, or too few events in the window."""

    rule: str
    labels: Labels
    at_s: float
    is_firing: bool


@dataclass(frozen=True, slots=True)
class DataSeen:
    """A figure can be told, for the first time or again."""

    rule: str
    labels: Labels
    at_s: float
    is_firing: bool


Event = Fired | Resolved | DataMissing | DataSeen
