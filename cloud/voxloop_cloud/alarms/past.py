"""A rule's figure over past windows, from the utterances in the store."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine, Row, select

from voxloop_cloud.alarms.recorded import RECORDED, Amount
from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.series import Labels
from voxloop_cloud.store.tables import UTTERANCES

STEP_S: Final = 60.0
"""Time between the past's evaluations."""

_ROWS_AT_ONCE: Final = 2_000

Values = npt.NDArray[np.float64]
UtteranceRow = Row[Any]


@dataclass(frozen=True, slots=True)
class PastFigures:
    """One slice's figures. at_s, figures: (evaluations,) float64; a figure is NaN where data were missing."""

    labels: Labels
    at_s: Values
    figures: Values


@dataclass(frozen=True, slots=True)
class _Events:
    """What utterances added to a metric. at_s: (events,), rising; amounts: (events,)."""

    at_s: Values
    amounts: Values

    def inside(self, at_s: Values, window_s: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """For each window that ends at `at_s`: the first event within it, and the first one after it."""
        return np.searchsorted(self.at_s, at_s - window_s, "right"), np.searchsorted(self.at_s, at_s, "right")

    def sums(self, at_s: Values, window_s: float) -> Values:
        """Of the amounts in each window."""
        first, end = self.inside(at_s, window_s)
        running = np.concatenate(([0.0], np.cumsum(self.amounts)))
        return np.asarray(running[end] - running[first], np.float64)


def is_recorded(rule: Rule) -> bool:
    """Whether utterances tell the rule's figure; gauges, and what happens outside of utterances, they do not."""
    return rule.aggregation != "max" and rule.metric in RECORDED and (rule.of is None or rule.of in RECORDED)


def past_figures(store: Engine, rule: Rule, since_s: float, until_s: float) -> Iterator[PastFigures]:
    """The rule's figures of each slice, every minute, from the first utterance on that came in that time."""
    assert is_recorded(rule)
    parts = _collect(store, rule, rule.metric, rule.where, since_s, until_s)
    wholes = _collect(store, rule, rule.of, rule.of_where, since_s, until_s) if rule.of else parts
    begins_s = [events.at_s[0] for events in wholes.values() if events.at_s.size]
    if not begins_s:
        return
    at_s = np.arange(min(begins_s) + STEP_S, until_s + STEP_S, STEP_S)
    nothing = _Events(np.empty(0), np.empty(0))
    for piece in sorted(wholes):
        yield PastFigures(piece, at_s, _figures(rule, parts.get(piece, nothing), wholes[piece], at_s))


def _figures(rule: Rule, parts: _Events, wholes: _Events, at_s: Values) -> Values:
    sums = parts.sums(at_s, rule.window_s)
    if rule.aggregation == "rate":
        return sums * (1.0 / rule.window_s)
    first, end = wholes.inside(at_s, rule.window_s)
    counts = wholes.sums(at_s, rule.window_s) if rule.aggregation == "share" else (end - first).astype(np.float64)
    is_enough = counts >= rule.min_count
    if rule.aggregation == "quantile":
        assert rule.quantile is not None
        figures = np.full(at_s.size, np.nan)
        for place in np.flatnonzero(is_enough):
            figures[place] = np.quantile(parts.amounts[first[place] : end[place]], rule.quantile)
        return figures
    figures = np.full(at_s.size, np.nan)
    figures[is_enough] = sums[is_enough] / counts[is_enough]
    return figures


def _collect(
    store: Engine, rule: Rule, metric: str, where: Mapping[str, str], since_s: float, until_s: float
) -> dict[Labels, _Events]:
    amount = RECORDED[metric]
    found: dict[Labels, tuple[list[float], list[float]]] = {}
    for row in _rows(store, amount, since_s, until_s):
        for labels, value in amount.of(row):
            if where.items() <= labels.items():
                piece = ((rule.split_by, labels.get(rule.split_by, "")),) if rule.split_by else ()
                times, values = found.setdefault(piece, ([], []))
                times.append(row.arrived_s)
                values.append(value)
    return {piece: _Events(np.array(times), np.array(values)) for piece, (times, values) in found.items()}


def _rows(store: Engine, amount: Amount, since_s: float, until_s: float) -> Iterator[UtteranceRow]:
    columns = [UTTERANCES.c[name] for name in ("arrived_s", *amount.columns)]
    query = select(*columns).where(UTTERANCES.c.arrived_s >= since_s, UTTERANCES.c.arrived_s < until_s)
    with store.connect() as connection:
        yield from connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query.order_by(UTTERANCES.c.arrived_s))
