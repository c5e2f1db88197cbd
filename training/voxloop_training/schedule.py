"""The learning rate over a training run that may be stopped at any time."""

from pydantic import BaseModel, ConfigDict, Field

from voxloop_training.progress import Progress


class ScheduleConfig(BaseModel):
    """Warm-up, stable, decay (Hu et al., 2024). The decay follows the budget, so it ends when the time does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warmup_steps: int = Field(200, ge=0, description="steps of linear rise")
    decay_ratio: float = Field(0.25, ge=0, le=1, description="last share of the budget in which the rate falls to zero")
    budget_minutes: float | None = Field(
        None, gt=0, description="length of the run in minutes of training; pauses don't count"
    )
    budget_steps: int | None = Field(None, gt=0, description="length of the run in steps")
    budget_hours_seen: float | None = Field(None, gt=0, description="length of the run in hours of audio")

    def spent_ratio(self, now: Progress) -> float:
        """Share of the budget that is spent, 0 to 1; the nearest limit counts, and without one it stays 0."""
        limits = (
            (now.elapsed_s / 60.0, self.budget_minutes),
            (float(now.step), self.budget_steps),
            (now.hours_seen, self.budget_hours_seen),
        )
        return min(1.0, max(spent / limit if limit else 0.0 for spent, limit in limits))

    def rate_ratio(self, now: Progress) -> float:
        """Share of the peak learning rate at this point, 0 to 1."""
        rise = min(1.0, (now.step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        left = 1.0 - self.spent_ratio(now)
        fall = min(1.0, left / self.decay_ratio) if self.decay_ratio else 1.0
        return rise * fall
