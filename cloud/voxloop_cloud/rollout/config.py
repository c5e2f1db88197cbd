"""What a new bundle must show, how sure of it one wants to be, and what is then done without a person."""

from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SHIPPED_ALARMS: Final = ("null_transcripts", "failed_segments", "model_failures")
"""Those that wake somebody up and name the bundle that they are of."""


class Limits(BaseModel):
    """Between which bounds of a measure a bundle goes on being watched; both as parts of 1, higher being worse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    harm: float = Field(ge=0, lt=1, description="proven to be worse by more than this: it is rolled back")
    margin: float = Field(gt=0, lt=1, description="proven to be worse by less than this: it may be promoted")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.harm > self.margin:
            raise ValueError(f"harm {self.harm:g} above margin {self.margin:g}: what may be promoted is no harm")
        return self


class GuardLimits(BaseModel):
    """The limits of each guard (docs/rollout.md says what each one measures)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word_errors: Limits = Limits(harm=0.0, margin=0.02)
    nulls: Limits = Limits(harm=0.02, margin=0.02)
    doubt: Limits = Limits(harm=0.05, margin=0.05)
    disagreement: Limits = Limits(harm=0.5, margin=0.5)
    slowness: Limits = Limits(harm=0.5, margin=0.5)
    failures_live: Limits = Limits(harm=0.0, margin=0.02)
    redone_live: Limits = Limits(harm=0.0, margin=0.03)
    nulls_live: Limits = Limits(harm=0.02, margin=0.03)
    late_live: Limits = Limits(harm=0.0, margin=0.05)


class ErrorRates(BaseModel):
    """How often the guard may be wrong, over a whole rollout and however often it looks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    false_rollback: float = Field(
        0.01, gt=0, le=0.5, description="share of bundles within all limits of harm that are rolled back"
    )
    false_promotion: float = Field(
        0.05, gt=0, le=0.5, description="share of bundles beyond the margin of a guard that are promoted"
    )


class ReviewConfig(BaseModel):
    """How people are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer_ms: int = Field(
        120_000, ge=100, description="time that people have while a device waits; after it the model's text is given"
    )
    audit_share: float = Field(
        0.0, ge=0, le=1, description="part of the answered utterances that people label, drawn at random"
    )
    audit_ms: int = Field(604_800_000, ge=1_000, description="time after which an utterance needs no label any more")
    most_waiting: int = Field(1_000, ge=1, description="utterances that may wait for people; beyond, the model answers")
    poll_ms: int = Field(200, ge=10, description="time between looks for answers that came in another process")


class RolloutConfig(BaseModel):
    """How bundles are watched that listen in or answer some devices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rolls_back: bool = Field(True, description="take a bundle off by itself that does harm")
    promotes: bool = Field(False, description="let a bundle answer more devices by itself that has shown it may")
    steps: tuple[float, ...] = Field(
        (0.01, 0.05, 0.25, 1.0), min_length=1, description="shares of the devices that a promotion goes through"
    )
    step_utterances: int = Field(
        200, ge=0, description="utterances that a bundle answers at a step before it goes up the next"
    )
    look_every_ms: int = Field(2_000, ge=50, description="time between two looks at the evidence")
    settle_ms: int = Field(
        30_000, ge=0, description="age at which an utterance counts: its outcome and shadows are known by then"
    )
    needs_labels: bool = Field(True, description="promote only what has shown its word errors on labelled utterances")
    late_ms: float = Field(200.0, gt=0, description="latency on the server above which a transcript is late")
    slow_ratio: float = Field(1.5, gt=1, description="of the present bundle's time, above which an utterance is slow")
    rates: ErrorRates = Field(default_factory=ErrorRates)
    guards: GuardLimits = Field(default_factory=GuardLimits)
    reviews: ReviewConfig = Field(default_factory=ReviewConfig)
    alarms: tuple[str, ...] = Field(
        SHIPPED_ALARMS, description="rules whose alarm, while a bundle is tried, rolls it back; those that ship"
    )
    must_not_fail: Path | None = Field(
        None, description="manifest (JSONL) of clips whose texts must be right before a bundle may be promoted"
    )

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[0] <= 0 or self.steps[-1] != 1:
            raise ValueError(f"steps {list(self.steps)}: allowed are rising shares above 0 whose last is 1")
        return self
