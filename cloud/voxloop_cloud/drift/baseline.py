"""How utterances were before: each device's own habit, and how far turns stray from it by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from voxloop_cloud.drift.metric import METRICS, SETTINGS, Metric, Setting
from voxloop_cloud.drift.plan import MonitorPlan
from voxloop_cloud.drift.turns import WHOLE, Slice, Turns, TurnTaker, joined_turns
from voxloop_cloud.drift.utterances import Floats, Indices, Mask, Strings, Utterances

MOST_SLICES: Final = 16
LEAST_SHARE: Final = 0.1
"""Of the utterances that a slice has of its own: less would take weeks to prove anything."""

_NEW: Final = "new"
_MOST_NEW: Final = 4
_DAY_S: Final = 86_400.0
_TURNS_A_PART: Final = 40
"""At least: with fewer there are fewer parts. Looks are then hours long, and bets last for days and nights."""

_HABIT_SHARE: Final = 0.5
_GOLDEN_RATIO: Final = 0.6180339887498949
_LEAST_CHANGED_DEVIATION: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """Of each device and, last, of all together: the mean of each metric and the usual value of each setting.

    A device that was heard little is taken to be more like the others: its mean is drawn to theirs by as much as its
    utterances differ from each other, compared with how much devices do (the best linear predictor of random effects).
    """

    devices: Strings  # (D,), in order
    means: Floats  # (D + 1, metrics)
    usual: dict[str, Strings]  # setting: (D + 1,)

    def of(self, devices: Strings) -> Indices:
        """The row of each of these devices, (N,); a device that is not known has that of all."""
        if not len(self.devices):
            return np.zeros(len(devices), np.intp)
        at = np.searchsorted(self.devices, devices).clip(max=len(self.devices) - 1)
        return np.where(self.devices[at] == devices, at, len(self.devices))


class Baseline:
    """Made of a period's utterances: half of them give the habits, the others show how turns stray from these.

    Both halves are spread over the whole period, so that weekends and nights are in either.
    """

    def __init__(
        self,
        period: Utterances,
        plan: MonitorPlan,
        metrics: Sequence[Metric] = METRICS,
        settings: Sequence[Setting] = SETTINGS,
    ) -> None:
        """plan: the monitor's."""
        self._metrics, self._settings = tuple(metrics), tuple(settings)
        self.names = (*(metric.name for metric in metrics), *(setting.name for setting in settings))
        gives_habits = _spread(len(period), plan.look_utterances)
        self._habits = self._learn(period.take(gives_habits))
        self.deviations = self._deviations(period)
        self._values = {column: np.unique(values) for column, values in period.slices.items()}
        self.slices = _choose_slices(period)
        self.utterances = period.take(~gives_habits)
        self.residuals = self.residuals_of(self.utterances)
        size, taker = plan.look_utterances, TurnTaker(plan.turn_s)
        parts = [slice(at, at + size) for at in range(0, len(self.utterances), size)]
        self.turns: Turns = joined_turns(
            [taker.take(self.utterances.take(part), self.residuals[part]) for part in parts]
        )

        self.parts_of_day = max(1, min(plan.parts_of_day, len(self.turns) // _TURNS_A_PART))

    def parts_of(self, turns: Turns) -> Indices:
        """The part of the day in which each began, (U,): 0 is the one from 0:00 UTC on."""
        return (turns.began_s % _DAY_S // (_DAY_S / self.parts_of_day)).astype(np.intp)

    def residuals_of(self, utterances: Utterances) -> Floats:
        """How each utterance strays from its device's habit, (N, names): by how much, or whether a setting differs."""
        rows = self._habits.of(utterances.devices)
        strays = [
            utterances.values[metric.name] - self._habits.means[rows, number]
            for number, metric in enumerate(self._metrics)
        ]
        for setting in self._settings:
            value = utterances.settings[setting.name]
            differs = (value != self._habits.usual[setting.name][rows]).astype(np.float64)
            strays.append(np.where(value == "", np.nan, differs))
        return np.stack(strays, axis=1)

    def marked(self, utterances: Utterances) -> Utterances:
        """With a column more for each slice: whether a known device has a value there that no device had before."""
        is_known = np.isin(utterances.devices, self._habits.devices)
        marks = {
            f"{_NEW} {column}": np.where(is_known & (values != "") & ~np.isin(values, self._values[column]), "yes", "")
            for column, values in utterances.slices.items()
        }
        return replace(utterances, slices={**utterances.slices, **marks})

    def _learn(self, period: Utterances) -> Habits:
        devices, rows = np.unique(period.devices, return_inverse=True)
        means = np.stack([_drawn_means(period.values[each.name], rows, len(devices)) for each in self._metrics], axis=1)
        usual = {each.name: _usual(period.settings[each.name], rows, len(devices)) for each in self._settings}
        return Habits(devices, means, usual)

    def _deviations(self, period: Utterances) -> Floats:
        measured = []
        for metric in self._metrics:
            values = period.values[metric.name]
            known = values[~np.isnan(values)]
            measured.append(max(metric.least_deviation, float(known.std()) if len(known) else 0.0))
        return np.array([*measured, *(_LEAST_CHANGED_DEVIATION for _ in self._settings)])


def _spread(utterances: int, block: int) -> Mask:
    """Half of the utterances in whole blocks, without a rhythm that days or weeks could share, (N,)."""
    return np.asarray((np.arange(utterances) // block * _GOLDEN_RATIO) % 1.0 < _HABIT_SHARE)


def _drawn_means(values: Floats, rows: Indices, devices: int) -> Floats:
    """Of each device, drawn to the mean of all, which comes last, (devices + 1,)."""
    known = ~np.isnan(values)
    values, rows = values[known], rows[known]
    if not len(values):
        return np.zeros(devices + 1)
    counts = np.bincount(rows, minlength=devices).astype(np.float64)
    sums = np.bincount(rows, values, devices)
    means = np.divide(sums, counts, out=np.zeros(devices), where=counts > 0)
    of_all = float(means[counts > 0].mean())
    within = float(np.square(values - means[rows]).sum() / max(1.0, len(values) - np.count_nonzero(counts)))
    between = max(0.0, float(means[counts > 0].var()) - within * float(np.mean(1.0 / counts[counts > 0])))
    trust = np.divide(counts * between, counts * between + within, out=np.zeros(devices), where=counts * between > 0)
    return np.append(of_all + trust * (means - of_all), of_all)


def _usual(values: Strings, rows: Indices, devices: int) -> Strings:
    """The most frequent value of each device, and of all, (devices + 1,)."""
    names, codes = np.unique(values, return_inverse=True)
    table = np.zeros((devices + 1, len(names)), np.int64)
    np.add.at(table, (rows, codes), 1)
    table[devices] = table[:devices].sum(axis=0)
    chosen: Strings = names[table.argmax(axis=1)]
    return chosen


def _choose_slices(period: Utterances) -> tuple[Slice, ...]:
    """The whole, what may be new, and the values that are frequent and not all there is; a bounded number."""
    found: list[tuple[int, str, str]] = []
    for column, values in period.slices.items():
        names, counts = np.unique(values, return_counts=True)
        for name, count in zip(names, counts, strict=True):
            if name and LEAST_SHARE <= count / len(values) <= 1.0 - LEAST_SHARE:
                found.append((-int(count), column, str(name)))
    new = [Slice(f"{_NEW} {column}", "yes", is_new=True) for column in list(period.slices)[:_MOST_NEW]]
    return (WHOLE, *new, *(Slice(column, name) for _, column, name in sorted(found)[: MOST_SLICES - len(new)]))
