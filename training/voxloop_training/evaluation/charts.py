"""The curves of the page, as SVG that takes its colours from the page around it. Needs matplotlib."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voxloop_training.evaluation.calibration import Calibration
from voxloop_training.evaluation.figures import ErrorFigures

SERIES_COLOURS: Final = 6
"""The page has so many; further series begin again."""

_INCHES: Final = (4.4, 3.0)
_INK: Final = "#000001"  # colours that stand for the page's own: see _to_page
_FAINT: Final = "#000002"
_SERIES: Final = tuple(f"#0001{number:02d}" for number in range(1, SERIES_COLOURS + 1))
_STYLE: Final[dict[Any, object]] = {  # Any: matplotlib names each key in the type
    "svg.fonttype": "none", "font.size": 9, "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _FAINT,
    "xtick.color": _INK, "ytick.color": _INK, "grid.color": _FAINT, "grid.linewidth": 0.4, "axes.grid": True,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LookAheadPoint:
    """The errors of one bundle on one set."""

    look_ahead_ms: float
    figures: ErrorFigures


def draw_look_ahead(points_of_set: Mapping[str, Sequence[LookAheadPoint]]) -> str:
    """WER over look-ahead, a curve per set, each point with its interval."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": "look-ahead"}):
        figure, axes = _open_figure()
        for number, (name, points) in enumerate(points_of_set.items()):
            known = sorted((p for p in points if p.figures.wer is not None), key=lambda point: point.look_ahead_ms)
            rates = [100 * (point.figures.wer or 0.0) for point in known]
            bounds = [
                [rate - 100 * _or(point.figures.wer_low, rate / 100) for rate, point in zip(rates, known, strict=True)],
                [
                    100 * _or(point.figures.wer_high, rate / 100) - rate
                    for rate, point in zip(rates, known, strict=True)
                ],
            ]
            colour = _SERIES[number % SERIES_COLOURS]
            ahead_ms = [point.look_ahead_ms for point in known]
            axes.errorbar(ahead_ms, rates, yerr=bounds, color=colour, marker="o", ms=4, capsize=3, lw=1.4, label=name)
        axes.set(xlabel="look-ahead, ms", ylabel="WER, %", xlim=(0, None), ylim=(0, None))
        return _close(figure, axes, curves=len(points_of_set))


def draw_calibration(calibrations: Mapping[str, Calibration]) -> str:
    """Share of words that are right over their confidence; on the diagonal the confidence is the truth."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": "calibration"}):
        figure, axes = _open_figure()
        axes.plot([0, 1], [0, 1], color=_INK, linestyle="--", linewidth=0.8)
        for number, (name, calibration) in enumerate(calibrations.items()):
            confidences = [each.confidence for each in calibration.bins]
            ratios = [each.right_ratio for each in calibration.bins]
            areas = [8 + 120 * each.words / calibration.words for each in calibration.bins]
            colour = _SERIES[number % SERIES_COLOURS]
            axes.plot(confidences, ratios, color=colour, linewidth=1.4, label=name)
            axes.scatter(confidences, ratios, s=areas, color=colour, clip_on=False, zorder=3)
        axes.set(xlabel="confidence of a word", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
        return _close(figure, axes, curves=len(calibrations))


def _open_figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_INCHES, layout="constrained")
    return figure, figure.add_subplot()


def _close(figure: Figure, axes: Axes, curves: int) -> str:
    if curves:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    out = StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _to_page(out.getvalue())


def _to_page(svg: str) -> str:
    """The SVG element alone, its stand-in colours replaced by the page's variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace(_INK, "var(--ink)").replace(_FAINT, "var(--faint)")
    for number, colour in enumerate(_SERIES, start=1):
        svg = svg.replace(colour, f"var(--series-{number})")
    return svg


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
