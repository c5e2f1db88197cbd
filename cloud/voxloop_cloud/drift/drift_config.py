"""The settings of drift detection."""

from pydantic import BaseModel, ConfigDict, Field


class DriftConfig(BaseModel):
    """What counts as drift, and how often false alarms may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        True, description="watch the utterances of the store for drift; without a store there is none"
    )
    false_alarms_per_week: float = Field(
        0.01, gt=0, le=0.5, description="chance that a week without change has any alarm, over all metrics and slices"
    )
    look_utterances: int = Field(50, ge=10, le=1_000, description="utterances from one look to the next")
    turn_s: float = Field(3_600.0, ge=0, le=86_400, description="what a device says within this time counts once, in s")
    parts_of_day: int = Field(
        8, ge=1, le=24, description="turns are compared with those of the same part of the day; so many parts at most"
    )
    look_labels: int = Field(10, ge=2, le=1_000, description="labelled utterances from one look to the next")
    tolerance: float = Field(
        0.05, ge=0, lt=0.4, description="by which the mean cube of ranks, 1/4 if nothing changes, may be off by itself"
    )
    least_effect: float = Field(
        0.2, ge=0, le=5, description="Wasserstein distance, in standard deviations, below which nothing matters"
    )
    reference_tolerance: float = Field(
        0.2,
        ge=0,
        lt=0.4,
        description="of the mean rank among training clips, about 1/2: the field never quite equals them",
    )
    reference_least_effect: float = Field(
        0.5, ge=0, le=5, description="the same as least_effect, against the training data"
    )
    least_utterances: int = Field(400, ge=100, description="of last week; with fewer there is nothing to compare with")
    most_utterances: int = Field(
        20_000, ge=1_000, le=200_000, description="looked at in a week; of more, every second, third and so on"
    )
    settle_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="age of an utterance before it is looked at: what users do comes after it, in s",
    )
    poll_s: float = Field(10.0, ge=0.1, le=3_600, description="time between two looks into the store, in s")
