"""The learning rate over a training run that may be stopped at any time."""

from pydantic import BaseModel, ConfigDict, Field


class ScheduleConfig(BaseModel):
    """Warm-up, stable, decay (Hu et al., 2024). The decay follows the budget, so it ends when the time does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warmup_steps: int = Field(200, ge=0, description="steps of linear rise")
    decay_ratio: float = Field(0.25, ge=0, le=1, description="last share of the budget in which the rate falls to zero")
    budget_minutes: float | None = Field(
        None, gt=0, description="length of the run in minutes of training; pauses don't count"
    )
    budget_steps: int | None = Field(None, gt=0, description="length of the run in steps")

    def progress(self, elapsed_s: float, steps: int) -> float:
        """Share of the budget that is spent, 0 to 1; the nearer limit counts, and without one it stays 0."""
        by_time = elapsed_s / (60.0 * self.budget_minutes) if self.budget_minutes else 0.0
        by_steps = steps / self.budget_steps if self.budget_steps else 0.0
        return min(1.0, max(by_time, by_steps))

    def factor(self, elapsed_s: float, steps: int) -> float:
        """Share of the peak learning rate at this point, 0 to 1."""
        rise = min(1.0, (steps + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        left = 1.0 - self.progress(elapsed_s, steps)
        fall = min(1.0, left / self.decay_ratio) if self.decay_ratio else 1.0
        return rise * fall
