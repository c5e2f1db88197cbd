"""Which clips are trained on together: a pure function of seed and epoch.

lhotse's samplers carry their position as mutable state that has to be replayed after a restart. Here a place in the
data is three integers (stage, epoch, index), so a resumed run continues at exactly the next batch.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lhotse import CutSet

_DURATION_JITTER_RATIO: Final = 0.1


@dataclass(frozen=True)
class Clip:
    """What planning needs to know of a clip."""

    id: str
    set: str
    duration_s: float


StepPlan = tuple[tuple[str, ...], ...]
"""Clip ids per process, for one step of training."""


def clips_of(cuts: CutSet) -> list[Clip]:
    """The clips of a cut set."""
    return [Clip(cut.id, str(cut.supervisions[0].custom["set"]), cut.duration) for cut in cuts]


def plan_epoch(
    clips: Sequence[Clip], weights: Mapping[str, float], batch_s: float, processes: int, seed: int, epoch: int
) -> list[StepPlan]:
    """All steps of an epoch, in order.

    A set with weight 1.5 is seen once, and half of it (another half each epoch) a second time. A batch holds clips of
    similar length, padded at most `batch_s` seconds; all batches of a step are of similar length too, so that no
    process waits long for another.
    """
    rng = random.Random(f"{seed}/{epoch}")
    drawn = [clip for clip in clips for _ in range(_repeats(weights.get(clip.set, 1.0), rng))]
    drawn.sort(key=lambda clip: clip.duration_s * rng.uniform(1.0, 1.0 + _DURATION_JITTER_RATIO))
    batches = list(_batches(drawn, batch_s))
    whole = len(batches) - len(batches) % processes
    steps = [tuple(batches[start : start + processes]) for start in range(0, whole, processes)]
    rng.shuffle(steps)
    return steps


def _repeats(weight: float, rng: random.Random) -> int:
    return int(weight) + (rng.random() < weight % 1.0)


def _batches(clips: Iterable[Clip], batch_s: float) -> Iterator[tuple[str, ...]]:
    batch: list[str] = []
    longest_s = 0.0
    for clip in clips:
        longest_s = max(longest_s, clip.duration_s)
        if batch and longest_s * (len(batch) + 1) > batch_s:
            yield tuple(batch)
            batch, longest_s = [], clip.duration_s
        batch.append(clip.id)
    if batch:
        yield tuple(batch)
