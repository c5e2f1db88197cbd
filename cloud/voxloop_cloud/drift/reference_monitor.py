"""Watches utterances against the training data: what the field says is unlike what the model was made from.

The training data is known by histograms alone, and the field never quite equals it. So a turn's score is the mean rank
of its utterances among the training clips, and the bets are against a mean rank that lies within a wide tolerance of
1/2, given all turns before.
"""

from collections import deque

import numpy as np

from voxloop_cloud.drift.distance import ks, psi, wasserstein
from voxloop_cloud.drift.evidence import Evidence, gains_of
from voxloop_cloud.drift.looks import Looks
from voxloop_cloud.drift.metric import stage_of
from voxloop_cloud.drift.plan import DETECTORS, MOST_RECENT_LOOKS, MonitorPlan
from voxloop_cloud.drift.training_reference import TrainingReference
from voxloop_cloud.drift.turns import TurnTaker
from voxloop_cloud.drift.utterances import Floats, Utterances
from voxloop_cloud.drift.verdict import Drift, Kind


class ReferenceMonitor:
    """Of one period, over the metrics that the reference has, without slices."""

    def __init__(self, reference: TrainingReference, plan: MonitorPlan) -> None:
        self._reference, self._plan = reference, plan
        self._turn_taker = TurnTaker(plan.turn_s)
        self._names = tuple(reference.histograms)
        tests = len(self._names)
        self._detectors = [(kind, bet, Evidence(bet, tests, plan.planned_looks)) for kind, bet in DETECTORS]
        self._needed = plan.needed(1, tests)
        self._told: set[tuple[int, Kind]] = set()
        self._recent: deque[Floats] = deque(maxlen=MOST_RECENT_LOOKS)
        self._looks = Looks(plan.look_utterances)

    def push(self, utterances: Utterances) -> tuple[Drift, ...]:
        """Takes the next utterances, any number; gives what is found, each metric once for each kind."""
        looks = self._looks.push(utterances) if self._names else ()  # imported models know nothing of their data
        return tuple(drift for look in looks for drift in self._look(look))

    def _look(self, utterances: Utterances) -> list[Drift]:
        values = [self._reference.in_its_unit(name, utterances.values[name]) for name in self._names]
        ranks = [self._reference.histograms[name].ranks(each) for name, each in zip(self._names, values, strict=True)]
        self._recent.append(np.stack(values, axis=1))
        scores = self._turn_taker.take(utterances, np.stack(ranks, axis=1)).means
        found: list[Drift] = []
        for kind, betting, evidence in self._detectors:
            e_values = evidence.step(gains_of(scores, self._plan.tolerance, betting))
            for test, side in np.argwhere(e_values >= self._needed[:, None]).tolist():
                if (test, kind) not in self._told:
                    looks = evidence.looks_since_change(test, side)
                    found += self._verdict(test, side, kind, looks, float(e_values[test, side]))
        return found

    def _verdict(self, test: int, side: int, kind: Kind, looks: int, e_value: float) -> list[Drift]:
        """The drift, if its effect matters."""
        name = self._names[test]
        histogram = self._reference.histograms[name]
        after = np.concatenate([values[:, test] for values in list(self._recent)[-looks:]])
        before, after = histogram.sample(), histogram.rounded(after[~np.isnan(after)])
        if not len(after):
            return []
        effect = wasserstein(before, after, histogram.std)
        if effect < self._plan.least_effect:
            return []
        self._told.add((test, kind))
        return [
            Drift(
                metric=name,
                stage=stage_of(name),
                slice="all",
                against="reference",
                kind=kind,
                effect=effect,
                ks=ks(before, after),
                psi=psi(before, after),
                e_value=e_value,
                needed=float(self._needed[test]),
                utterances=len(after),
                is_greater=side == 0,
                blame=None,
            )
        ]
