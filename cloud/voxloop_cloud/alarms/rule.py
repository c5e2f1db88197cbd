"""One rule: the figure of a stage that is watched, when it is an alarm, and what to do then."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_proto.metrics.spec import STAGES, Label

Aggregation = Literal["rate", "mean", "quantile", "share", "max"]
Comparison = Literal["above", "below"]
Severity = Literal["page", "ticket", "note"]
Missing = Literal["hold", "fire", "resolve"]

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
METRIC_PATTERN = r"^voxloop_[a-z0-9_]{1,80}$"

Metric = Annotated[str, Field(pattern=METRIC_PATTERN)]
LabelName = Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
LabelValue = Annotated[str, Field(min_length=1, max_length=129)]

_DIGITS = 12
"""More of a value that moved in proportion mean nothing."""


class Rule(BaseModel):
    """What is watched, and when it is an alarm. Its figure is an aggregate of a metric over the last `window_s`.

    The aggregates are those of Prometheus (rate.py, aggregate.py): rate of a counter per second, mean and quantile of a
    histogram, share of one counter in another (0 to 1), max of a gauge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN, description="small letters, digits and _; its table's name in the file")
    stage: str = Field(description="the stage whose figure it is")
    metric: Metric = Field(
        description="as the server exposes it; of a histogram the name without _bucket, _sum, _count"
    )
    aggregation: Aggregation = Field(description="rate, mean, quantile, share or max")
    of: Metric | None = Field(None, description="share: the counter that the metric is a part of")
    quantile: float | None = Field(None, gt=0.0, lt=1.0, description="quantile: which one, 0.95 say")
    where: dict[LabelName, LabelValue] = Field(
        default_factory=dict, description="labels that the metric's series must have"
    )
    of_where: dict[LabelName, LabelValue] = Field(
        default_factory=dict, description="share: labels that the series of `of` must have"
    )
    split_by: Label | None = Field(
        None, description="label by whose values the rule is evaluated apart; none: all as one"
    )
    window_s: int = Field(ge=10, le=3_600, description="seconds that the figure covers")
    min_count: int = Field(1, ge=1, description="share, mean, quantile: fewer in the window count as missing data")
    comparison: Comparison = Field(description="above or below: on which side of the threshold it is an alarm")
    threshold: float = Field(allow_inf_nan=False, description="beyond it the alarm comes, in the metric's unit")
    resolves_at: float = Field(
        allow_inf_nan=False, description="hysteresis: a firing alarm stays until back at this value"
    )
    for_s: int = Field(0, ge=0, le=86_400, description="seconds that it must be beyond the threshold before it fires")
    keep_s: int = Field(0, ge=0, le=86_400, description="seconds that it must be back before it resolves")
    severity: Severity = Field(description="page wakes somebody, ticket waits for the day, note is only kept")
    missing: Missing = Field(
        description="missing data: hold keeps a firing alarm for hold_s, fire is an alarm, resolve counts as fine"
    )
    hold_s: int = Field(3_600, ge=1, le=86_400, description="hold: seconds after which missing data count as fine")
    meaning: str = Field(min_length=1, max_length=600, description="for the person who is woken: what it means")
    action: str = Field(min_length=1, max_length=600, description="for the person who is woken: what to do")

    @model_validator(mode="before")
    @classmethod
    def _resolve_at_threshold(cls, values: object) -> object:
        """No hysteresis unless it is asked for."""
        if isinstance(values, Mapping) and "threshold" in values:
            return {"resolves_at": values["threshold"], **values}
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        for is_wrong, why in self._faults():
            if is_wrong:
                raise ValueError(why)
        return self

    def _faults(self) -> tuple[tuple[bool, str], ...]:
        return (
            (self.stage not in STAGES, f"stage = {self.stage}: allowed are {', '.join(STAGES)}"),
            (
                not self.metric.startswith(f"voxloop_{self.stage}_"),
                f"metric {self.metric} is not one of stage {self.stage}, whose names begin with voxloop_{self.stage}_",
            ),
            ((self.of is not None) != (self.aggregation == "share"), "`of` belongs to share, and share needs it"),
            (
                (self.quantile is not None) != (self.aggregation == "quantile"),
                "`quantile` belongs to the aggregation quantile, which needs it",
            ),
            (bool(self.of_where) and self.of is None, "`of_where` belongs to share"),
            (
                self.split_by is not None and self.split_by in {*self.where, *self.of_where},
                f"split_by = {self.split_by} with a `where` of the same label: one of the two",
            ),
            (
                self.is_beyond(self.resolves_at),
                f"resolves_at = {self.resolves_at:g} is itself {self.comparison} the threshold {self.threshold:g}; "
                "allowed is the threshold, or a value on its good side",
            ),
            (
                self.aggregation == "share" and not 0.0 <= self.threshold <= 1.0,
                f"threshold = {self.threshold:g} of a share: allowed are 0 to 1",
            ),
            (
                self.missing == "fire" and self.split_by is not None,
                "missing = fire with split_by: a slice that was never seen cannot be missed; use hold or resolve",
            ),
        )

    def is_beyond(self, value: float, is_firing: bool = False) -> bool:
        """Whether a figure is an alarm: beyond the threshold, or, while it fires, beyond the value that resolves it."""
        limit = self.resolves_at if is_firing else self.threshold
        return value > limit if self.comparison == "above" else value < limit

    def at(self, threshold: float, resolves_at: float | None = None) -> "Rule":
        """The rule with another threshold; the value that resolves it moves along, unless it is given.

        In proportion where both are above zero, else by the same distance. Raises pydantic's ValidationError.
        """
        if resolves_at is None:
            proportional = min(self.threshold, self.resolves_at, threshold) > 0.0
            resolves_at = (
                self.resolves_at * (threshold / self.threshold)
                if proportional
                else self.resolves_at + (threshold - self.threshold)
            )
            resolves_at = threshold if self.resolves_at == self.threshold else float(f"{resolves_at:.{_DIGITS}g}")
        return Rule.model_validate({**self.model_dump(), "threshold": threshold, "resolves_at": resolves_at})

    @property
    def exposed_names(self) -> tuple[str, ...]:
        """The names of the samples that it reads."""
        match self.aggregation:
            case "mean":
                return f"{self.metric}_sum", f"{self.metric}_count"
            case "quantile":
                return f"{self.metric}_bucket", f"{self.metric}_count"
            case _:
                return (self.metric, self.of) if self.of else (self.metric,)
