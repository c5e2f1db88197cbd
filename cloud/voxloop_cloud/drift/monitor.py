"""Watches utterances against last week's, one look after the other. A pure state machine: no clock, no store.

Each look makes turns of its utterances, ranks them among what was before, and bets on the ranks. An alarm needs the
evidence and an effect that matters: the evidence is against differences up to the tolerance, so that a small one never
becomes an alarm by numbers.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxloop_cloud.drift.baseline import Baseline
from voxloop_cloud.drift.blame import Blame, blame
from voxloop_cloud.drift.distance import ks, psi, wasserstein
from voxloop_cloud.drift.evidence import RANK_POWER, Evidence, gains_of
from voxloop_cloud.drift.looks import Looks
from voxloop_cloud.drift.metric import stage_of
from voxloop_cloud.drift.plan import DETECTORS, MOST_RECENT_LOOKS, MonitorPlan
from voxloop_cloud.drift.ranks import Ranks
from voxloop_cloud.drift.turns import Slice, Turns, TurnTaker, joined_turns
from voxloop_cloud.drift.utterances import Floats, Utterances
from voxloop_cloud.drift.verdict import Drift, Kind

NEW_TOLERANCE: Final = 3.0
"""Times the tolerance, for what is new and so compared with all others: few devices may vary more than many do."""


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    utterances: Utterances
    residuals: Floats
    turns: Turns


class Monitor:
    """Of one period. Memory: what the baseline holds, and MOST_RECENT_LOOKS."""

    def __init__(self, baseline: Baseline, plan: MonitorPlan, rng: np.random.Generator) -> None:
        """rng: breaks ties between equal values."""
        self._baseline, self._plan = baseline, plan
        self._ranks = Ranks(baseline, rng)
        self._turn_taker = TurnTaker(plan.turn_s)
        tests = self._ranks.tests
        self._detectors = [(kind, bet, Evidence(bet, tests, plan.planned_looks)) for kind, bet in DETECTORS]
        self._needed = plan.needed(len(baseline.slices), len(baseline.names))
        new = np.array([each.is_new for each in baseline.slices])
        self._tolerance = np.repeat(np.where(new, NEW_TOLERANCE, 1.0) * plan.tolerance, len(baseline.names))
        self._told: set[tuple[int, Kind]] = set()
        self._recent: deque[_Look] = deque(maxlen=MOST_RECENT_LOOKS)
        self._looks = Looks(plan.look_utterances)
        self._nearness = np.zeros(tests)
        self.looks = 0

    def push(self, utterances: Utterances) -> tuple[Drift, ...]:
        """Takes the next utterances, any number; gives what is found, each metric of a slice once for each kind."""
        return tuple(drift for look in self._looks.push(utterances) for drift in self._look(look))

    def nearness(self) -> dict[tuple[str, str], float]:
        """By slice and metric: the evidence of the last look over what an alarm needs."""
        return {
            (str(part), self._baseline.names[metric]): float(self._nearness[test])
            for test in range(self._ranks.tests)
            for part, metric in [self._slice_and_metric(test)]
        }

    def _look(self, utterances: Utterances) -> list[Drift]:
        utterances = self._baseline.marked(utterances)
        residuals = self._baseline.residuals_of(utterances)
        turns = self._turn_taker.take(utterances, residuals)
        self._recent.append(_Look(utterances, residuals, turns))
        scores = self._ranks.scores_of(turns)
        self.looks += 1
        self._nearness = np.zeros(self._ranks.tests)
        found: list[Drift] = []
        for kind, betting, evidence in self._detectors:
            e_values = evidence.step(gains_of(scores, self._tolerance, betting, RANK_POWER))
            self._nearness = np.maximum(self._nearness, e_values.max(axis=1) / self._needed)
            for test, side in np.argwhere(e_values >= self._needed[:, None]).tolist():
                if (test, kind) not in self._told:
                    found += self._verdict(test, side, kind, evidence, float(e_values[test, side]))
        return found

    def _verdict(self, test: int, side: int, kind: Kind, evidence: Evidence, e_value: float) -> list[Drift]:
        """The drift, if its effect matters."""
        part, metric = self._slice_and_metric(test)
        looks = list(self._recent)[-evidence.looks_since_change(test, side) :]
        before, after = self._before(part.compared_with, metric), _after(looks, part, metric)
        if not len(before) or not len(after) or _devices(looks, part) < part.least_devices:
            return []
        effect = wasserstein(before, after, float(self._baseline.deviations[metric]))
        if effect < self._plan.least_effect:
            return []
        self._told.add((test, kind))
        name = self._baseline.names[metric]
        return [
            Drift(
                metric=name,
                stage=stage_of(name),
                slice=str(part),
                against="last week",
                kind=kind,
                effect=effect,
                ks=ks(before, after),
                psi=psi(before, after),
                e_value=e_value,
                needed=float(self._needed[test]),
                utterances=len(after),
                is_greater=side == 0,
                blame=self._blame(looks, part, name),
            )
        ]

    def _blame(self, looks: list[_Look], part: Slice, name: str) -> Blame:
        after = joined_turns([look.turns for look in looks])
        after = after.take(part.within(after.slices, len(after)))
        before = self._baseline.turns
        before = before.take(part.compared_with.within(before.slices, len(before)))
        like_it = before.take(np.isin(self._baseline.parts_of(before), self._baseline.parts_of(after)))
        return blame(self._baseline.names, (like_it if len(like_it) else before).means, after.means, alarmed=name)

    def _before(self, part: Slice, metric: int) -> Floats:
        known = self._baseline.utterances
        return _measured(self._baseline.residuals[part.within(known.slices, len(known)), metric])

    def _slice_and_metric(self, test: int) -> tuple[Slice, int]:
        part, metric = divmod(test, len(self._baseline.names))
        return self._baseline.slices[part], metric


def _after(looks: list[_Look], part: Slice, metric: int) -> Floats:
    inside = [look.residuals[part.within(look.utterances.slices, len(look.utterances)), metric] for look in looks]
    return _measured(np.concatenate(inside))


def _devices(looks: list[_Look], part: Slice) -> int:
    said = [look.utterances.devices[part.within(look.utterances.slices, len(look.utterances))] for look in looks]
    return len(np.unique(np.concatenate(said)))


def _measured(values: Floats) -> Floats:
    return np.asarray(values[~np.isnan(values)])
