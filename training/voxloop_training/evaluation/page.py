"""`voxloop evaluate --html`: one page that needs nothing but itself. Needs Jinja2 and matplotlib."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from voxloop_training.evaluation.bootstrap import MIN_SPEAKERS
from voxloop_training.evaluation.charts import SERIES_COLOURS, LookAheadPoint, draw_calibration, draw_look_ahead
from voxloop_training.evaluation.clip_set import ClipSet
from voxloop_training.evaluation.figures import ErrorFigures, EvaluationReport, SetFigures, SliceFigures
from voxloop_training.evaluation.summary import MIN_SLICE_WORDS
from voxloop_training.evaluation.table import cpu_of, difference_of, latency_of, percent_of, rows_of, wer_of
from voxloop_training.evaluation.worst_clips import find_worst

MOST_BARS: Final = 20
"""Of a dimension; the rest is in the JSON."""
MOST_CONFUSIONS: Final = 15

_MOST_SCALE: Final = 1.0


@dataclass(frozen=True, slots=True)
class SliceChart:
    """One dimension of one set. bars: each value with the figures of each system. hidden: values that are not shown."""

    set_name: str
    dimension: str
    bars: Sequence[tuple[str, Sequence[SliceFigures | None]]]
    hidden: int
    scale: float


def render_page(report: EvaluationReport, sets: Sequence[ClipSet]) -> str:
    """The page, as HTML. sets: those of the report, for their sound."""
    environment = Environment(
        loader=PackageLoader("voxloop_training.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "wer": wer_of, "percent": percent_of, "cpu": cpu_of, "latency": latency_of, "difference": difference_of,
    }  # fmt: skip
    rows = list(rows_of(report))
    return environment.get_template("page.html.j2").render(
        report=report,
        systems=[report.system, *(other.system for other in report.compared)],
        rows=rows,
        scale=_scale([figures for _, _, figures in rows]),
        slices=_slice_charts(report),
        look_ahead=_look_ahead(report),
        calibration=_calibration(report),
        worst=find_worst(sets, report.sets),
        series_colours=SERIES_COLOURS,
        most_confusions=MOST_CONFUSIONS,
        min_slice_words=MIN_SLICE_WORDS,
        min_speakers=MIN_SPEAKERS,
    )


def _systems_of(report: EvaluationReport) -> list[Mapping[str, SetFigures]]:
    return [report.sets, *(other.sets for other in report.compared)]


def _slice_charts(report: EvaluationReport) -> list[SliceChart]:
    """All dimensions of all sets; bars of one set share their scale."""
    charts: list[SliceChart] = []
    for name, figures in report.sets.items():
        systems = [sets[name] for sets in _systems_of(report) if name in sets]
        scale = _scale([bar for each in systems for values in each.slices.values() for bar in values.values()])
        for dimension, values in figures.slices.items():
            shown = _shown(dimension, values)
            bars = [(value, [system.slices[dimension].get(value) for system in systems]) for value in shown]
            charts.append(SliceChart(name, dimension, bars, len(values) - len(shown), scale))
    return [chart for chart in charts if chart.bars]


def _shown(dimension: str, values: Mapping[str, SliceFigures]) -> list[str]:
    """All values in their order if they are few; of many, and of speakers, the worst that have words enough."""
    rated = [value for value, figures in values.items() if figures.wer is not None]
    if dimension != "speaker" and len(rated) <= MOST_BARS:
        return rated
    telling = [value for value in rated if not values[value].few_words]
    return sorted(telling, key=lambda value: -(values[value].wer or 0.0))[:MOST_BARS]


def _scale(figures: Sequence[ErrorFigures]) -> float:
    """The rate at the right end of bars; those that go beyond are cut off there."""
    highest = max((max(each.wer_high or 0.0, each.wer or 0.0) for each in figures), default=0.0)
    return min(highest, _MOST_SCALE) or _MOST_SCALE


def _look_ahead(report: EvaluationReport) -> str | None:
    """The curve of WER over look-ahead; None if all systems look equally far ahead."""
    points: dict[str, list[LookAheadPoint]] = {}
    for system, name, figures in rows_of(report):
        if system.look_ahead_ms is not None and system.mode == report.system.mode and figures.wer is not None:
            points.setdefault(name, []).append(LookAheadPoint(system.look_ahead_ms, figures))
    if len({point.look_ahead_ms for found in points.values() for point in found}) < 2:
        return None
    return draw_look_ahead(points)


def _calibration(report: EvaluationReport) -> str | None:
    found = {name: figures.calibration for name, figures in report.sets.items() if figures.calibration}
    return draw_calibration(found) if found else None
