"""Streams through the monitor: how often it is wrong when nothing changes, how late and how right when it does."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.stats import ks_2samp
from tests.bench.drift.streams import WEEK, Habit, Recordings, mixed, parts_of

from voxloop_cloud.drift.baseline import Baseline
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.metric import METRICS, WORD_ERROR_RATE
from voxloop_cloud.drift.monitor import Monitor
from voxloop_cloud.drift.plan import plan_for
from voxloop_cloud.drift.utterances import Utterances, joined
from voxloop_cloud.drift.verdict import Drift

LONGEST_WAIT: Final = 2_000
"""Utterances after the change for which an alarm is waited."""

LABELLED_RATIO: Final = 0.1
_PLAIN_WINDOW: Final = 500


@dataclass(frozen=True, slots=True)
class Found:
    """The first alarm after a change. utterances: since then, None if there was none."""

    utterances: int | None
    drift: Drift | None = None


@dataclass(slots=True)
class Lab:
    """Recordings, and the settings that are tried on them."""

    recordings: Recordings
    config: DriftConfig = field(default_factory=DriftConfig)

    def monitor(self, habit: Habit, rng: np.random.Generator) -> tuple[Monitor, Utterances]:
        """A monitor after a week of nothing, and that week."""
        week = self.recordings.draw("base", WEEK, habit, rng)
        plan = plan_for("last week", self.config, WEEK)
        return Monitor(Baseline(week, plan), plan, rng), week

    def null_week(self, habit: Habit, seed: int) -> tuple[Drift, ...]:
        """All alarms of a week like the one before."""
        rng = np.random.default_rng(seed)
        monitor, _ = self.monitor(habit, rng)
        return monitor.push(self.recordings.draw("base", WEEK, habit, rng))

    def plain_null_week(self, habit: Habit, seed: int) -> bool:
        """Whether the plain way alarms: KS of the last 500 utterances at each look, 1 % divided over the metrics."""
        rng = np.random.default_rng(seed)
        before, week = (self.recordings.draw("base", WEEK, habit, rng) for _ in range(2))
        for end in range(_PLAIN_WINDOW, len(week) + 1, self.config.look_utterances):
            for metric in METRICS:
                recent = week.values[metric.name][end - _PLAIN_WINDOW : end]
                if ks_2samp(before.values[metric.name], recent).pvalue < 0.01 / len(METRICS):
                    return True
        return False

    def change(self, condition: str, habit: Habit, seed: int, ramp: int = 0) -> Found:
        """The first alarm after a change in midweek; ramp: utterances over which it comes."""
        rng = np.random.default_rng(seed)
        monitor, _ = self.monitor(habit, rng)
        monitor.push(self.recordings.draw("base", self._looks(rng) * self.config.look_utterances, habit, rng))
        for at, part in enumerate(parts_of(self._changed(condition, habit, ramp, rng), self.config.look_utterances), 1):
            if found := monitor.push(part):
                return Found(at * self.config.look_utterances, found[0])
        return Found(None)

    def change_of_labels(self, condition: str, habit: Habit, seed: int) -> Found:
        """The same for the word error rate of the utterances that are labelled, counted in labels."""
        rng = np.random.default_rng(seed)
        week = self._labelled("base", habit, WEEK, rng)
        plan = plan_for("labels", self.config, len(week))
        baseline = Baseline(week, plan, (WORD_ERROR_RATE,), ())
        monitor = Monitor(baseline, plan, rng)
        monitor.push(self._labelled("base", habit, WEEK // 2, rng))
        for at, part in enumerate(parts_of(self._labelled(condition, habit, WEEK, rng), self.config.look_labels), 1):
            if found := monitor.push(part):
                return Found(at * self.config.look_labels, found[0])
        return Found(None)

    def _looks(self, rng: np.random.Generator) -> int:
        return int(rng.integers(10, 80))

    def _changed(self, condition: str, habit: Habit, ramp: int, rng: np.random.Generator) -> Utterances:
        after = self.recordings.draw(condition, LONGEST_WAIT + ramp, habit, rng)
        if not ramp:
            return after
        before = self.recordings.draw("base", LONGEST_WAIT + ramp, habit, rng)
        return joined(mixed(before, after, np.minimum(1.0, np.arange(len(after)) / ramp), rng))

    def _labelled(self, condition: str, habit: Habit, utterances: int, rng: np.random.Generator) -> Utterances:
        drawn = self.recordings.draw(condition, utterances, habit, rng)
        has_label = (rng.random(utterances) < LABELLED_RATIO) & ~np.isnan(drawn.values[WORD_ERROR_RATE.name])
        chosen = drawn.take(has_label)
        return Utterances(
            chosen.devices, chosen.times_s, {WORD_ERROR_RATE.name: np.minimum(1.0, chosen.values[WORD_ERROR_RATE.name])}
        )
