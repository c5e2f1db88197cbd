"""The figures of an evaluation in the terminal."""

from collections.abc import Iterator, Mapping
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voxloop_edge.report import Percentiles
from voxloop_training.evaluation.figures import (
    ComparedFigures,
    DifferenceFigures,
    ErrorFigures,
    EvaluationReport,
    SetFigures,
    SystemFigures,
)

_FILE_COLUMNS: Final = 120


def print_report(report: EvaluationReport) -> None:
    """A table per system, and one of how they differ from the first."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_COLUMNS
    console.print(_system_table(report.system, report.sets))
    for other in report.compared:
        console.print(_system_table(other.system, other.sets))
        if other.differences:
            console.print(_difference_table(other, report.system.label))


def _system_table(system: SystemFigures, sets: Mapping[str, SetFigures]) -> Table:
    title = system.label if system.label.endswith(system.mode) else f"{system.label}, {system.mode}"
    table = _table(title, "clips", "WER % (95 %)", "right %", "CPU s/s", "p50/p95 ms")
    for name, figures in sets.items():
        right = percent_of(figures.clips_right_ratio)
        cells = (str(figures.clips), wer_of(figures), right, cpu_of(figures), latency_of(figures.latency_ms))
        table.add_row(escape(name), *cells)
    return table


def _difference_table(other: ComparedFigures, baseline: str) -> Table:
    table = _table(f"{other.system.label} against {baseline}", "WER, points (95 %)", "better in")
    for name, difference in other.differences.items():
        table.add_row(escape(name), difference_of(difference), f"{difference.better_share:.0%}")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("set", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def rows_of(report: EvaluationReport) -> Iterator[tuple[SystemFigures, str, SetFigures]]:
    """Each set, as each system heard it."""
    systems = [(report.system, report.sets), *((other.system, other.sets) for other in report.compared)]
    for name in report.sets:
        yield from ((system, name, sets[name]) for system, sets in systems if name in sets)


def wer_of(figures: ErrorFigures) -> str:
    """The rate in percent with its interval."""
    if figures.wer is None:
        return "-"
    if figures.wer_low is None or figures.wer_high is None:
        return f"{100 * figures.wer:.1f}"
    return f"{100 * figures.wer:.1f} ({100 * figures.wer_low:.1f} to {100 * figures.wer_high:.1f})"


def difference_of(difference: DifferenceFigures) -> str:
    """Percentage points with their interval."""
    low, high = 100 * difference.wer_low, 100 * difference.wer_high
    return f"{100 * difference.wer:+.1f} ({low:+.1f} to {high:+.1f})"


def percent_of(ratio: float | None) -> str:
    """A ratio in percent."""
    return "-" if ratio is None else f"{100 * ratio:.1f}"


def cpu_of(figures: SetFigures) -> str:
    """CPU seconds per second of audio."""
    return "-" if figures.cpu_s_per_audio_s is None else f"{figures.cpu_s_per_audio_s:.4f}"


def latency_of(latency: Percentiles) -> str:
    """Median and 95th percentile, in ms."""
    return "-" if latency.p50 is None or latency.p95 is None else f"{latency.p50:.0f}/{latency.p95:.0f}"
