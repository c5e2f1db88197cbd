"""What is known of a bundle against the present one, gathered one utterance after the other. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from voxloop_cloud.rollout.bounded_mean import BoundedMean
from voxloop_cloud.rollout.config import Limits, RolloutConfig
from voxloop_cloud.rollout.guards import (
    DISAGREEMENT,
    DOUBT,
    GUARDS,
    LIVE_GUARDS,
    NULLS,
    SLOWNESS,
    WORD_ERRORS,
    Guard,
)
from voxloop_cloud.rollout.matched_change import MatchedChange
from voxloop_cloud.rollout.measures import (
    Comparison,
    LabelledPair,
    LiveUtterance,
    added_doubt,
    added_nulls,
    added_word_errors,
    disagreement,
    is_slower,
    live_measures,
)

_OF_COMPARISON: Final[Mapping[str, Callable[[Comparison], float]]] = {
    NULLS.key: added_nulls,
    DOUBT.key: added_doubt,
    DISAGREEMENT.key: disagreement,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one guard knows. low, high: the measure lies between them; estimate: None without a value.

    needed: values more until it is proven to lie below the margin, if they go on as so far (while there are hardly any:
    if they show no difference); None: they never would.
    """

    guard: Guard
    limits: Limits
    count: int
    estimate: float | None
    low: float
    high: float
    is_harm: bool
    is_fine: bool
    needed: int | None


class Evidence:
    """Of one rollout, from its begin. Each utterance is given once, in the order in which it became known.

    The rate of false rollbacks is shared out over the guards, as any of them rolls back; that of false promotions is
    each guard's own, as all of them must agree.
    """

    def __init__(self, config: RolloutConfig) -> None:
        self._config = config
        self._limits = {guard.key: getattr(config.guards, guard.key) for guard in GUARDS}
        self._means = {guard.key: self._new_mean(guard) for guard in GUARDS}
        self._changes = MatchedChange(len(LIVE_GUARDS))
        self.answered = 0

    def _new_mean(self, guard: Guard) -> BoundedMean:
        rates, limits = self._config.rates, self._limits[guard.key]
        marks = sorted({0.0, limits.harm, limits.margin})
        return BoundedMean(guard.values_in, marks, rates.false_rollback / len(GUARDS), rates.false_promotion)

    def compare(self, pairs: Iterable[Comparison]) -> None:
        """Takes utterances that both bundles heard."""
        pairs = list(pairs)
        for key, measure in _OF_COMPARISON.items():
            self._means[key].push(measure(pair) for pair in pairs)
        self._means[SLOWNESS.key].push(is_slower(pair, self._config.slow_ratio) for pair in pairs)

    def label(self, pairs: Iterable[LabelledPair]) -> None:
        """Takes utterances that both bundles heard and that someone labelled."""
        self._means[WORD_ERRORS.key].push(added_word_errors(pair) for pair in pairs)

    def wants(self, device_id: str) -> bool:
        """Whether utterances of this device are to be given from before the bundle answered anyone."""
        return self._changes.wants(device_id)

    def remember(self, device_id: str, heard: Iterable[LiveUtterance]) -> None:
        """Takes a device's utterances from before the bundle answered anyone, the latest first; maybe none."""
        self._changes.remember(device_id, (live_measures(each, self._config.late_ms) for each in heard))

    def hear(self, heard: Iterable[LiveUtterance]) -> None:
        """Takes utterances that one of the bundles answered since."""
        changes = []
        for each in heard:
            self.answered += each.is_candidates
            measures = live_measures(each, self._config.late_ms)
            change = self._changes.hear(each.device_id, each.is_candidates, measures)
            if change is not None:
                changes.append(change)
        for index, guard in enumerate(LIVE_GUARDS):
            self._means[guard.key].push(float(change[index]) for change in changes)

    @property
    def moved_devices(self) -> int:
        """Devices that the bundle answers and that were heard before."""
        return len(self._changes.moved_devices)

    @property
    def unmatched(self) -> int:
        """Utterances that the bundle answered and that had none from before to be compared with."""
        return self._changes.unmatched

    def findings(self) -> tuple[Finding, ...]:
        """Of each guard, in their order."""
        return tuple(self._find(guard) for guard in GUARDS)

    def _find(self, guard: Guard) -> Finding:
        mean, limits = self._means[guard.key], self._limits[guard.key]
        return Finding(
            guard=guard,
            limits=limits,
            count=mean.count,
            estimate=mean.estimate,
            low=mean.low,
            high=mean.high,
            is_harm=mean.is_above(limits.harm),
            is_fine=mean.is_below(limits.margin),
            needed=mean.values_to_below(limits.margin, otherwise=0.0),
        )
