"""Weeks of utterances, drawn again and again from what was recorded: devices that are used unevenly, in sittings."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from tests.bench.drift.injection import UNTOLD
from tests.bench.drift.real_path import Row

from voxloop_cloud.drift.metric import METRICS, WORD_ERROR_RATE
from voxloop_cloud.drift.utterances import Floats, Indices, Utterances, from_rows, joined

SECONDS_A_DAY: Final = 86_400
_EVENING_HOURS: Final = (18, 23)


@dataclass(frozen=True, slots=True)
class Habit:
    """How devices are used. sitting: mean utterances of one device in a row; repeats: chance that an utterance is the
    one before once more; devices: how many there are, None for all. noisy_evenings: half of the sittings of each
    evening are in noise. moody: what a device says on one day is a third of what it ever says."""

    name: str
    sitting: float = 3.0
    repeats: float = 0.3
    devices: int | None = None
    utterances_a_day: int = 1_000
    noisy_evenings: bool = False
    moody: bool = False

    @property
    def week(self) -> int:
        """Utterances of a week."""
        return 7 * self.utterances_a_day


USUAL: Final = Habit("sittings of 3 utterances on average")
BUSY: Final = Habit("the same, 2,800 utterances a day", utterances_a_day=2_800)
HABITS: Final = (
    USUAL,
    Habit("independent utterances", sitting=1.0, repeats=0.0),
    Habit("runs of 40 utterances of one device", sitting=40.0),
    Habit("five devices alone", devices=5),
    BUSY,
    Habit("noise in the evenings", noisy_evenings=True),
    Habit("each device's days differ", moody=True),
)


class Recordings:
    """The rows of each condition, by device."""

    def __init__(self, rows: dict[str, list[Row]]) -> None:
        """rows: by condition, "base" among them."""
        if "vad" in rows:
            as_before = {column: rows["base"][0][column] for column in ("vad_kind", "vad_version", "vad_threshold")}
            rows = {**rows, UNTOLD.name: [{**row, **as_before} for row in rows["vad"]]}
        self.devices = np.unique([row["device_id"] for row in rows["base"]])
        kinds = {row["device_id"]: row["device_kind"] for row in rows["base"]}
        self.kinds = [kinds[device] for device in self.devices]
        columns = [from_rows(each, (*METRICS, WORD_ERROR_RATE)) for each in rows.values()]
        self.all = joined(columns)
        starts = np.cumsum([0, *map(len, columns)])
        self.rows_of: dict[str, list[Indices]] = {
            name: [np.asarray(start + np.flatnonzero(each.devices == device)) for device in self.devices]
            for name, each, start in zip(rows, columns, starts, strict=False)
        }


class Stream:
    """Utterances one after the other, from one midnight on."""

    def __init__(self, recordings: Recordings, habit: Habit, rng: np.random.Generator) -> None:
        self._recordings, self._habit, self._rng = recordings, habit, rng
        self._now_s = 0.0

    def draw(self, utterances: int, condition: str = "base", kind: str = "", ramp: int = 0) -> Utterances:
        """So many, of devices whose use falls off as 1 / rank.

        kind: of the devices that have the condition, all if empty. ramp: utterances over which ever more sittings have
        it. Devices that are not heard at all in a condition (too quiet for their VAD) say nothing.
        """
        rows_of, kinds = self._recordings.rows_of, self._recordings.kinds[: self._habit.devices]
        has_it = [kind in ("", each) for each in kinds]
        heard = [bool(len(rows_of[condition if changed else "base"][who])) for who, changed in enumerate(has_it)]
        weights = np.array(heard) / np.arange(1.0, len(heard) + 1)
        lengths = self._lengths(utterances)
        speakers = self._rng.choice(len(heard), len(lengths), p=weights / weights.sum())
        starts_s = self._starts_s(lengths)
        chances = np.minimum(1.0, (np.cumsum(lengths) - lengths) / ramp) if ramp else np.ones(len(lengths))
        is_changed = np.array(has_it)[speakers] & (self._rng.random(len(lengths)) < chances)
        said = [
            self._sitting(self._rows(start_s, who, condition if changed else "base"), length)
            for who, length, start_s, changed in zip(speakers, lengths, starts_s, is_changed, strict=True)
        ]
        drawn = self._recordings.all.take(np.concatenate(said)[:utterances])
        return replace(drawn, times_s=np.repeat(starts_s, lengths)[:utterances])

    def _lengths(self, utterances: int) -> Indices:
        lengths = self._rng.geometric(1.0 / self._habit.sitting, utterances)
        return np.asarray(lengths[: int(np.searchsorted(np.cumsum(lengths), utterances)) + 1])

    def _starts_s(self, lengths: Indices) -> Floats:
        rests_s = self._rng.exponential(SECONDS_A_DAY / self._habit.utterances_a_day, len(lengths)) * lengths
        starts_s = self._now_s + np.cumsum(rests_s)
        self._now_s = float(starts_s[-1])
        return np.asarray(starts_s)

    def _rows(self, time_s: float, who: int, condition: str) -> Indices:
        """What a device may say at a moment."""
        habit, rows_of = self._habit, self._recordings.rows_of
        day, hour = divmod(time_s / 3_600.0, 24)
        if habit.noisy_evenings and condition == "base" and _EVENING_HOURS[0] <= hour < _EVENING_HOURS[1]:
            condition = "noise" if len(rows_of["noise"][who]) and self._rng.random() < 0.5 else "base"
        rows = rows_of[condition][who]
        if habit.moody and len(rows) >= 3:
            mood = int(np.random.default_rng((who, int(day))).integers(3))
            rows = rows[mood::3]
        return rows

    def _sitting(self, rows: Indices, length: int) -> Indices:
        """Which of a device's rows, (length,)."""
        is_new = self._rng.random(length) >= self._habit.repeats
        is_new[0] = True
        fresh = rows[self._rng.integers(len(rows), size=length)]
        return np.asarray(fresh[np.maximum.accumulate(np.where(is_new, np.arange(length), 0))])


def parts_of(utterances: Utterances, size: int) -> list[Utterances]:
    """In order, so many at a time."""
    return [utterances.take(slice(at, at + size)) for at in range(0, len(utterances), size)]
