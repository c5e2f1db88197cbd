"""How far a run has come: all that decides what its next step is."""

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Progress:
    """A place in a run. Chance is drawn afresh in each step from seed and step, so there is no generator to restore."""

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    epoch: int = 0
    index: int = 0
    elapsed_s: float = 0.0
    hours_seen: float = 0.0
    smoothed_loss: float = 10.0
    skipped: int = 0
    skipped_in_a_row: int = 0
    best_cer_ratio: float = 1e9
    saved_at_s: float = 0.0
    evaluated_at_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def next_epoch(self) -> "Progress":
        return replace(self, epoch=self.epoch + 1, index=0)

    def next_stage(self) -> "Progress":
        return replace(self, stage=self.stage + 1, stage_step=0, epoch=self.epoch + 1, index=0)
