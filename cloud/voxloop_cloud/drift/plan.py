"""How many false alarms each monitor may have, and how it divides them over its tests."""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.evidence import GRADUAL, SIDES, SUDDEN, Betting
from voxloop_cloud.drift.utterances import Floats
from voxloop_cloud.drift.verdict import Kind

Yardstick = Literal["last week", "reference", "labels"]

DETECTORS: Final[tuple[tuple[Kind, Betting], ...]] = (("sudden", SUDDEN), ("gradual", GRADUAL))
MOST_RECENT_LOOKS: Final = 60
"""That are kept to say how large an effect is."""

_SHARE_OF_ALPHA: Final[dict[Yardstick, float]] = {"last week": 0.7, "reference": 0.15, "labels": 0.15}
_SPARE_LOOKS: Final = 1.5
"""Looks that are planned for each of last week's: a week may be busier than the one before."""

_LEAST_LOOKS: Final = 64


@dataclass(frozen=True, slots=True)
class MonitorPlan:
    """What a monitor may do. alpha: chance of any false alarm, however long it watches.

    turn_s: of TurnTaker. parts_of_day: at most. planned_looks: as in Evidence. tolerance: as in DriftConfig.
    least_effect: in deviations.
    """

    look_utterances: int
    turn_s: float
    parts_of_day: int
    planned_looks: int
    alpha: float
    tolerance: float
    least_effect: float

    def needed(self, slices: int, metrics: int) -> Floats:
        """The e-value at which each test alarms, (slices * metrics,): its share of alpha, the other way up.

        One half of alpha goes to the utterances as a whole, which is the first slice, the other to the other slices;
        then evenly over metrics, sides and detectors (Bonferroni, weighted).
        """
        of_slice = np.full(slices, 0.5 / max(1, slices - 1))
        of_slice[0] = 1.0 if slices == 1 else 0.5
        share = np.repeat(of_slice, metrics) / (metrics * SIDES * len(DETECTORS))
        return np.asarray(1.0 / (self.alpha * share))


def plan_for(yardstick: Yardstick, config: DriftConfig, utterances_before: int) -> MonitorPlan:
    """The plan of one week's monitor. utterances_before: those of last week, the labelled ones for labels."""
    look = config.look_labels if yardstick == "labels" else config.look_utterances
    against_training = yardstick == "reference"
    return MonitorPlan(
        look_utterances=look,
        turn_s=config.turn_s,
        parts_of_day=config.parts_of_day if yardstick == "last week" else 1,  # labels are too few for more
        planned_looks=max(_LEAST_LOOKS, math.ceil(_SPARE_LOOKS * utterances_before / look)),
        alpha=config.false_alarms_per_week * _SHARE_OF_ALPHA[yardstick],
        tolerance=config.reference_tolerance if against_training else config.tolerance,
        least_effect=config.reference_least_effect if against_training else config.least_effect,
    )
