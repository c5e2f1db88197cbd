"""Streams through the monitors: how often they are wrong when nothing changes, how late and how right when it does."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.stats import ks_2samp
from tests.bench.drift.streams import Habit, Recordings, Stream, parts_of

from voxloop_cloud.drift.baseline import Baseline
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.metric import METRICS, WORD_ERROR_RATE
from voxloop_cloud.drift.monitor import Monitor
from voxloop_cloud.drift.plan import plan_for
from voxloop_cloud.drift.reference_monitor import ReferenceMonitor
from voxloop_cloud.drift.training_reference import Histogram, TrainingReference
from voxloop_cloud.drift.utterances import Floats, Utterances
from voxloop_cloud.drift.verdict import Drift

LONGEST_WAIT: Final = 2_000
"""Utterances after the change for which an alarm is waited."""

LABELLED_RATIO: Final = 0.1
_PLAIN_WINDOW: Final = 500


@dataclass(frozen=True, slots=True)
class Change:
    """What happens in midweek. kind: of the devices that have it, all if empty.

    ramp: utterances over which it comes.
    """

    condition: str
    kind: str = ""
    ramp: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The first alarm after a change. utterances, hours: since then, None if there was none.

    evidence: over what an alarm needs, of each look from the change on, the greatest of all metrics and slices.
    """

    utterances: int | None
    hours: float | None
    drift: Drift | None
    evidence: tuple[float, ...] = ()


@dataclass(slots=True)
class Lab:
    """Recordings, and the settings that are tried on them."""

    recordings: Recordings = field(init=False)
    config: DriftConfig = field(default_factory=DriftConfig)

    def null_week(self, habit: Habit, seed: int) -> tuple[Drift, ...]:
        """All alarms of a week like the one before: against that, against its own statistics as the training data's,
        and of the labels."""
        rng = np.random.default_rng(seed)
        stream = Stream(self.recordings, habit, rng)
        before, week = stream.draw(habit.week), stream.draw(habit.week)
        reference = ReferenceMonitor(self._reference(before), plan_for("reference", self.config, len(before)))
        labelled = [self._labelled(each, rng) for each in (before, week)]
        found = self._monitor(before, rng).push(week) + reference.push(week)
        return found + self._label_monitor(labelled[0], rng).push(labelled[1])

    def plain_null_week(self, habit: Habit, seed: int) -> bool:
        """Whether the plain way alarms: KS of the last 500 utterances at each look, 1 % divided over the metrics."""
        stream = Stream(self.recordings, habit, np.random.default_rng(seed))
        before, week = stream.draw(habit.week), stream.draw(habit.week)
        for end in range(_PLAIN_WINDOW, len(week) + 1, self.config.look_utterances):
            for metric in METRICS:
                old, new = before.values[metric.name], week.values[metric.name][end - _PLAIN_WINDOW : end]
                if ks_2samp(_measured(old), _measured(new)).pvalue < 0.01 / len(METRICS):
                    return True
        return False

    def change(self, change: Change, habit: Habit, seed: int) -> Found:
        """The first alarm after it; the time of day and the look of the change are by chance."""
        rng = np.random.default_rng(seed)
        stream = Stream(self.recordings, habit, rng)
        monitor = self._monitor(stream.draw(habit.week), rng)
        monitor.push(stream.draw(int(rng.integers(500, 4_000))))
        after = stream.draw(LONGEST_WAIT + change.ramp, change.condition, change.kind, change.ramp)
        evidence: list[float] = []
        for part in parts_of(after, self.config.look_utterances):
            found = monitor.push(part)
            evidence.append(max(monitor.nearness().values()))
            if found:
                at = len(evidence) * self.config.look_utterances
                hours = float(part.times_s[-1] - after.times_s[0]) / 3_600.0
                return Found(at, hours, found[0], tuple(evidence))
        return Found(None, None, None, tuple(evidence))

    def change_of_labels(self, condition: str, habit: Habit, seed: int) -> Found:
        """The same for the word error rate of the utterances that are labelled, counted in labels."""
        rng = np.random.default_rng(seed)
        stream = Stream(self.recordings, habit, rng)
        monitor = self._label_monitor(self._labelled(stream.draw(habit.week), rng), rng)
        monitor.push(self._labelled(stream.draw(habit.week // 2), rng))
        after = self._labelled(stream.draw(habit.week, condition), rng)
        for at, part in enumerate(parts_of(after, self.config.look_labels), 1):
            if found := monitor.push(part):
                hours = float(part.times_s[-1] - after.times_s[0]) / 3_600.0
                return Found(at * self.config.look_labels, hours, found[0])
        return Found(None, None, None)

    def _monitor(self, before: Utterances, rng: np.random.Generator) -> Monitor:
        plan = plan_for("last week", self.config, len(before))
        return Monitor(Baseline(before, plan), plan, rng)

    def _label_monitor(self, before: Utterances, rng: np.random.Generator) -> Monitor:
        plan = plan_for("labels", self.config, len(before))
        return Monitor(Baseline(before, plan, (WORD_ERROR_RATE,), ()), plan, rng)

    def _labelled(self, drawn: Utterances, rng: np.random.Generator) -> Utterances:
        rates = drawn.values[WORD_ERROR_RATE.name]
        chosen = (rng.random(len(drawn)) < LABELLED_RATIO) & ~np.isnan(rates)
        return Utterances(
            drawn.devices[chosen], drawn.times_s[chosen], {WORD_ERROR_RATE.name: np.minimum(1.0, rates[chosen])}
        )

    def _reference(self, before: Utterances) -> TrainingReference:
        histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            values = _measured(TrainingReference({}).in_its_unit(metric.name, before.values[metric.name]))
            if values.std() > 0:
                counts, edges = np.histogram(values, 40)
                histograms[metric.name] = Histogram(
                    edges=tuple(edges), counts=tuple(counts), mean=values.mean(), std=values.std()
                )
        return TrainingReference(histograms)


def _measured(values: Floats) -> Floats:
    return np.asarray(values[~np.isnan(values)])
