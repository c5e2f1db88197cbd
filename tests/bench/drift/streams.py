"""Weeks of utterances, drawn again and again from what was recorded: devices that are used unevenly, in sittings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from tests.bench.drift.real_path import Row

from voxloop_cloud.drift.metric import METRICS, WORD_ERROR_RATE
from voxloop_cloud.drift.utterances import Utterances, from_rows

UTTERANCES_A_DAY: Final = 1_000
WEEK: Final = 7 * UTTERANCES_A_DAY


@dataclass(frozen=True, slots=True)
class Habit:
    """How devices are used. sitting: mean utterances of one device in a row; repeats: chance that an utterance is the
    one before once more; devices: how many there are, None for all."""

    name: str
    sitting: float
    repeats: float
    devices: int | None = None


HABITS: Final = (
    Habit("sittings of 3 utterances on average", 3.0, 0.3),
    Habit("independent utterances", 1.0, 0.0),
    Habit("runs of 40 utterances of one device", 40.0, 0.3),
    Habit("five devices alone", 3.0, 0.3, devices=5),
)


class Recordings:
    """The rows of each condition, by device."""

    def __init__(self, rows: dict[str, list[Row]]) -> None:
        metrics = (*METRICS, WORD_ERROR_RATE)
        self._columns = {name: from_rows(each, metrics) for name, each in rows.items()}
        self._devices = np.unique(self._columns["base"].devices)
        self._rows_of = {
            name: [np.flatnonzero(each.devices == device) for device in self._devices]
            for name, each in self._columns.items()
        }

    def draw(self, condition: str, utterances: int, habit: Habit, rng: np.random.Generator) -> Utterances:
        """So many utterances in a row, of devices whose use falls off as 1 / rank."""
        rows_of = self._rows_of[condition]
        active = [device for device, rows in enumerate(rows_of) if len(rows)][: habit.devices]
        weights = 1.0 / np.arange(1, len(active) + 1)
        order: list[int] = []
        while len(order) < utterances:
            rows = rows_of[active[rng.choice(len(active), p=weights / weights.sum())]]
            order += _sitting(rows, int(rng.geometric(1.0 / habit.sitting)), habit.repeats, rng)
        return self._columns[condition].take(np.array(order[:utterances], np.intp))


def _sitting(rows: npt.NDArray[np.intp], length: int, repeats: float, rng: np.random.Generator) -> list[int]:
    chosen = rng.choice(rows, length)
    again = rng.random(length) < repeats
    for at in range(1, length):
        if again[at]:
            chosen[at] = chosen[at - 1]
    return [int(row) for row in chosen]


def mixed(before: Utterances, after: Utterances, share: npt.NDArray[np.float64], rng: np.random.Generator) -> list[Utterances]:
    """Utterances of which each is one of `after` with its own chance, (N,)."""
    changed = rng.random(len(before)) < share
    return [(after if is_after else before).take(slice(at, at + 1)) for at, is_after in enumerate(changed)]


def parts_of(utterances: Utterances, size: int) -> Sequence[Utterances]:
    """In order, so many at a time."""
    return [utterances.take(slice(at, at + size)) for at in range(0, len(utterances), size)]
