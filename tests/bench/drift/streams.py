"""Weeks of utterances, drawn again and again from what was recorded: devices that are used unevenly, in sittings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from tests.bench.drift.injection import UNTOLD
from tests.bench.drift.real_path import Row

from voxloop_cloud.drift.metric import METRICS, WORD_ERROR_RATE
from voxloop_cloud.drift.utterances import Indices, Utterances, from_rows

UTTERANCES_A_DAY: Final = 1_000
SECONDS_A_DAY: Final = 86_400
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
        self._now_s = 0.0
        self._columns = {name: from_rows(each, metrics) for name, each in rows.items()}
        if "vad" in rows:
            as_before = {column: rows["base"][0][column] for column in ("vad_kind", "vad_version", "vad_threshold")}
            self._columns[UNTOLD.name] = from_rows([{**row, **as_before} for row in rows["vad"]], metrics)
        self._devices = np.unique([row["device_id"] for row in rows.get("base", ())])
        self._rows_of = {
            name: [np.flatnonzero(each.devices == device) for device in self._devices]
            for name, each in self._columns.items()
        }

    def draw(self, condition: str, utterances: int, habit: Habit, rng: np.random.Generator) -> Utterances:
        """So many utterances in a row, of devices whose use falls off as 1 / rank."""
        rows_of = self._rows_of[condition]
        active = [rows for rows in rows_of if len(rows)][: habit.devices]
        weights = 1.0 / np.arange(1, len(active) + 1)
        lengths = rng.geometric(1.0 / habit.sitting, utterances)
        lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), utterances)) + 1]
        speakers = rng.choice(len(active), len(lengths), p=weights / weights.sum())
        rests_s = rng.exponential(SECONDS_A_DAY / UTTERANCES_A_DAY, len(lengths)) * lengths
        starts_s = self._now_s + np.cumsum(rests_s)
        self._now_s = float(starts_s[-1])
        order = [
            _sitting(active[who], length, habit.repeats, rng) for who, length in zip(speakers, lengths, strict=True)
        ]
        drawn = self._columns[condition].take(np.concatenate(order)[:utterances])
        return replace(drawn, times_s=np.repeat(starts_s, lengths)[:utterances])


def _sitting(rows: Indices, length: int, repeats: float, rng: np.random.Generator) -> Indices:
    """Which of a device's rows, (length,)."""
    is_new = rng.random(length) >= repeats
    is_new[0] = True
    fresh = rows[rng.integers(len(rows), size=length)]
    return np.asarray(fresh[np.maximum.accumulate(np.where(is_new, np.arange(length), 0))])


def mixed(
    before: Utterances, after: Utterances, share: npt.NDArray[np.float64], rng: np.random.Generator
) -> list[Utterances]:
    """Utterances of which each is one of `after` with its own chance, (N,)."""
    changed = rng.random(len(before)) < share
    return [(after if is_after else before).take(slice(at, at + 1)) for at, is_after in enumerate(changed)]


def parts_of(utterances: Utterances, size: int) -> Sequence[Utterances]:
    """In order, so many at a time."""
    return [utterances.take(slice(at, at + size)) for at in range(0, len(utterances), size)]
