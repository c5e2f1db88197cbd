"""Which stage moved first, when several metrics have.

A stage is blamed if it moved and what goes into it did not:

1. A stage whose settings changed moved by itself: nothing in the sound can change them. Of several, the first.
2. Else the first stage with a metric that moved, unless it moved far less than another: a small move does not cause a
   great one. The feature statistics alone are no sign of the features' computation, which the bundle fixes: if they
   moved by more than level, SNR and silence account for, and about as much as all else, the sound's spectrum did, and
   that is the microphone's, the room's or the speaker's. So with the pace of speech, which only the text tells:
   recogniser and decoder are fixed by the bundle, so if it moved more than anything that they measure, people speak
   faster or slower.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from voxloop_cloud.drift.metric import PACE, SETTINGS, STAGES, stage_of
from voxloop_cloud.drift.utterances import Floats, Mask

LEAST_SHIFT: Final = 0.1
"""By which the chance that a turn after the change exceeds one before it must differ from 1/2."""

LEAST_Z: Final = 3.5
"""In standard errors: below 0.05 % for each metric, of which some twenty are looked at."""

CAUSE_SHARE: Final = 0.5
"""What moved less than this share of the greatest shift did not cause it."""

_SPECTRUM: Final = ("feature_mean", "feature_deviation")
_CAUSE_SHARE_OF: Final = {"applied_gain_db": 1.0, "level_dbfs": 1.0, PACE: 1.0} | dict.fromkeys(_SPECTRUM, 0.8)
"""The same of what follows from something else unless it moved most: the normalizer's settings say what it does, and
they are as they were; pace is counted in the recogniser's text; other words have another spectrum, but a microphone
that dulls it moves it more than it moves the recogniser."""

_INPUTS_OF_SPECTRUM: Final = (
    "raw_level_dbfs",
    "snr_db",
    "duration_ms",
    "voiced_ratio",
    "applied_gain_db",
    "level_dbfs",
)
_SETTING_NAMES: Final = frozenset(setting.name for setting in SETTINGS)


@dataclass(frozen=True, slots=True)
class Move:
    """How one metric differs since the change. exceeds: chance that a turn after it is above one before it, 0 to 1."""

    name: str
    stage: str
    exceeds: float
    z: float

    @property
    def shift(self) -> float:
        """How far `exceeds` is from even, 0 to 1/2."""
        return abs(self.exceeds - 0.5)

    @property
    def has_moved(self) -> bool:
        """Whether by enough, and surely enough, to count as evidence."""
        return self.shift >= LEAST_SHIFT and abs(self.z) >= LEAST_Z


@dataclass(frozen=True, slots=True)
class Blame:
    """The stage that moved first, why it is taken to be that, and all that moved."""

    stage: str
    reason: str
    moved: tuple[Move, ...]


def blame(names: tuple[str, ...], before: Floats, after: Floats, alarmed: str) -> Blame:
    """names: of the X columns. before, after: turns, (U, X). alarmed: the metric that raised the alarm, which moved."""
    moves = [_move(name, before[:, at], after[:, at]) for at, name in enumerate(names)]
    moved = tuple(move for move in moves if move.has_moved or move.name == alarmed)
    settings = [move for move in moved if move.name in _SETTING_NAMES]
    if settings:
        first = _first(settings)
        return Blame(first.stage, f"its settings changed ({first.name})", moved)
    sound = [move for move in moved if move.name not in _SPECTRUM and _may_have_caused(move, moved)]
    spectrum = [move for move in _spectrum_moves(names, before, after) if move.has_moved]
    spectrum = [move for move in spectrum if _may_have_caused(move, moved)]
    first_of_sound = _first(sound) if sound else None
    if first_of_sound and (first_of_sound.stage == STAGES[0] or not spectrum):
        return Blame(first_of_sound.stage, f"{first_of_sound.name} moved, and nothing before it did", moved)
    reason = "the sound's spectrum moved, by more than its level, SNR and silence account for; no setting changed"
    return Blame(STAGES[0], reason, moved)


def _may_have_caused(move: Move, moved: tuple[Move, ...]) -> bool:
    rivals = [each for each in moved if (move.name, each.name) != (PACE, "characters_per_s")]  # pace, with its pauses
    return move.shift >= _CAUSE_SHARE_OF.get(move.name, CAUSE_SHARE) * max(each.shift for each in rivals)


def _first(moves: list[Move]) -> Move:
    """Of the first stage; within it the one that moved most."""
    return min(moves, key=lambda move: (STAGES.index(move.stage), -move.shift))


def _move(name: str, before: Floats, after: Floats) -> Move:
    before, after = np.sort(before[~np.isnan(before)]), after[~np.isnan(after)]
    if not len(before) or not len(after):
        return Move(name, stage_of(name), 0.5, 0.0)
    ranks = np.searchsorted(before, after, "left") + np.searchsorted(before, after, "right")
    exceeds = float(ranks.mean()) / (2 * len(before))
    deviation = float(np.sqrt((1 / len(before) + 1 / len(after)) / 12))  # Mann and Whitney's, without ties at most
    return Move(name, stage_of(name), exceeds, (exceeds - 0.5) / deviation)


def _spectrum_moves(names: tuple[str, ...], before: Floats, after: Floats) -> list[Move]:
    """Of the feature statistics, less what a linear model, fitted before, makes of the metrics that go into them."""
    if not set(_SPECTRUM + _INPUTS_OF_SPECTRUM) <= set(names):
        return []
    inputs = [names.index(name) for name in _INPUTS_OF_SPECTRUM]
    outputs = [names.index(name) for name in _SPECTRUM]
    old, new = before[_complete(before, inputs + outputs)], after[_complete(after, inputs + outputs)]
    if len(old) <= 2 * len(inputs):
        return []
    weights = np.linalg.lstsq(_with_constant(old[:, inputs]), old[:, outputs], rcond=None)[0]
    left = [part[:, outputs] - _with_constant(part[:, inputs]) @ weights for part in (old, new)]
    return [_move(name, left[0][:, at], left[1][:, at]) for at, name in enumerate(_SPECTRUM)]


def _complete(turns: Floats, columns: list[int]) -> Mask:
    return np.asarray(~np.isnan(turns[:, columns]).any(axis=1))


def _with_constant(columns: Floats) -> Floats:
    return np.column_stack((np.ones(len(columns)), columns))
