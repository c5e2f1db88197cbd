"""One week's monitors, fed from the store: what a server's state is, and what it comes back to after a restart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine

from voxloop_cloud.drift.baseline import Baseline
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.drift_store import count_between, first_id_since, read_labels, read_utterances
from voxloop_cloud.drift.metric import WORD_ERROR_RATE
from voxloop_cloud.drift.monitor import Monitor
from voxloop_cloud.drift.plan import plan_for
from voxloop_cloud.drift.reference_monitor import ReferenceMonitor
from voxloop_cloud.drift.training_reference import TrainingReference
from voxloop_cloud.drift.utterances import Utterances, from_rows
from voxloop_cloud.drift.verdict import Drift
from voxloop_proto.scoring import score

WEEK_S: Final = 7 * 86_400.0
BATCH: Final = 2_000
"""Rows that are read at once."""

LEAST_LABELS: Final = 60
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class WeekStatus:
    """How far a week's watch has come. nearness: evidence over what an alarm needs, by slice and metric."""

    utterances: int
    compared_with: int
    labels: int
    nearness: dict[tuple[str, str], float]


class WatchedWeek:
    """From its beginning, in `start_s`, however late it is opened: the same rows give the same verdicts.

    Compared is with the week before; if that has too few utterances, with the first day of this week, or more.
    """

    def __init__(self, engine: Engine, config: DriftConfig, reference: TrainingReference, start_s: float) -> None:
        self.start_s = start_s
        self._engine, self._config = engine, config
        self._rng = np.random.default_rng(int(start_s))
        before = count_between(engine, start_s - WEEK_S, start_s)
        self._every = max(1, math.ceil(before / config.most_utterances))
        self._reference = ReferenceMonitor(reference, plan_for("reference", config, before // self._every))
        self._monitor: Monitor | None = None
        self._label_monitor: Monitor | None = None
        self._compared_with = self._utterances = self._labels = 0
        self._last_id = self._last_label_id = 0
        self._first: list[dict[str, Any]] = []
        self._first_labels: list[dict[str, Any]] = []
        if before // self._every >= config.least_utterances:
            self._monitor = self._open_monitor(self._all_utterances(start_s - WEEK_S, start_s))
        labels = read_labels(engine, start_s - WEEK_S, start_s, 0, config.most_utterances)
        if len(labels) >= LEAST_LABELS:
            self._label_monitor = self._open_label_monitor(labels)

    def advance(self, until_s: float) -> list[Drift]:
        """Takes what has arrived since the last time and before until_s; gives what is found."""
        found: list[Drift] = []
        until_s = min(until_s, self.start_s + WEEK_S)
        before_id = first_id_since(self._engine, until_s, self._last_id)
        span = (self._engine, self.start_s, until_s)
        while rows := read_utterances(*span, self._last_id, self._every, BATCH, before_id):
            self._last_id = rows[-1]["id"]
            found += self._take(rows)
        while rows := read_labels(self._engine, self.start_s, until_s, self._last_label_id, BATCH):
            self._last_label_id = rows[-1]["id"]
            found += self._take_labels(rows)
        return found

    def status(self) -> WeekStatus:
        """How far it has come."""
        nearness = self._monitor.nearness() if self._monitor else {}
        return WeekStatus(self._utterances, self._compared_with, self._labels, nearness)

    def _take(self, rows: list[dict[str, Any]]) -> Sequence[Drift]:
        self._utterances += len(rows)
        found = self._reference.push(from_rows(rows))
        if self._monitor is None:
            self._first += rows
            enough = self._enough(self._first)
            if not enough:
                return found
            self._monitor = self._open_monitor(self._first[:enough])
            rows, self._first = self._first[enough:], []
        return (*found, *self._monitor.push(from_rows(rows)))

    def _enough(self, rows: list[dict[str, Any]]) -> int:
        """How many of the first rows are enough to compare with, so that mornings are not all there is; 0: too few."""
        for count in range(self._config.least_utterances, len(rows) + 1):
            is_a_day = rows[count - 1]["arrived_s"] - rows[0]["arrived_s"] >= _DAY_S
            if is_a_day or count >= self._config.most_utterances:
                return count
        return 0

    def _take_labels(self, rows: list[dict[str, Any]]) -> Sequence[Drift]:
        self._labels += len(rows)
        if self._label_monitor is None:
            self._first_labels += rows
            if len(self._first_labels) < LEAST_LABELS:
                return ()
            self._label_monitor = self._open_label_monitor(self._first_labels[:LEAST_LABELS])
            rows, self._first_labels = self._first_labels[LEAST_LABELS:], []
        return self._label_monitor.push(labelled(rows))

    def _open_monitor(self, rows: list[dict[str, Any]]) -> Monitor:
        self._compared_with = len(rows)
        plan = plan_for("last week", self._config, len(rows))
        return Monitor(Baseline(from_rows(rows), plan), plan, self._rng)

    def _open_label_monitor(self, rows: list[dict[str, Any]]) -> Monitor:
        plan = plan_for("labels", self._config, len(rows))
        return Monitor(Baseline(labelled(rows), plan, (WORD_ERROR_RATE,), ()), plan, self._rng)

    def _all_utterances(self, from_s: float, to_s: float) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while rows := read_utterances(self._engine, from_s, to_s, found[-1]["id"] if found else 0, self._every, BATCH):
            found += rows
        return found


def labelled(rows: Sequence[dict[str, Any]]) -> Utterances:
    """Word error rates, at most 1, of labelled utterances; those in which nothing is said are right or wrong."""
    return Utterances(
        np.array([row["device_id"] for row in rows], np.str_),
        np.array([row["arrived_s"] for row in rows], np.float64),
        {WORD_ERROR_RATE.name: np.array([_word_error_rate(row["label"], row["text"]) for row in rows])},
    )


def _word_error_rate(label: str, text: str) -> float:
    found = score([label], [text])
    return min(1.0, found.wer if found.wer is not None else float(found.errors > 0))
