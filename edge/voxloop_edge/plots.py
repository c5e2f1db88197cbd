"""Plots of a replay, for people who would rather look than read. The only file of the edge that needs matplotlib."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voxloop_edge.report import ReplayReport, UtteranceReport

MOST_UTTERANCES = 12
MOST_SLICES = 30
_BUSY, _WAIT, _SPEECH = "#2a6f97", "#a9d6e5", "#e9c46a"


def draw_plots(report: ReplayReport, folder: Path) -> list[Path]:
    """Draws what there is to draw into the folder as PNG; returns the files. The folder is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    if report.totals.segments:
        files += [_draw_latency(report, folder), _draw_stages(report, folder), _draw_segments(report, folder)]
    if any(found.wer is not None for found in report.slices):
        files.append(_draw_slices(report, folder))
    return files


def _draw_latency(report: ReplayReport, folder: Path) -> Path:
    """Share of segments answered within a time."""
    segments = [segment for utterance in report.utterances for segment in utterance.segments]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    shares = [(rank + 1) / len(segments) for rank in range(len(segments))]
    axes.step(sorted(s.latency_ms for s in segments), shares, where="post", label="from the end of the segment")
    axes.step(sorted(s.user_latency_ms for s in segments), shares, where="post", label="from the last voiced sample")
    axes.axvline(500, color="grey", linestyle=":", label="500 ms")
    axes.set(xlabel="ms until the transcript arrived", ylabel="share of segments", ylim=(0, 1.02), xlim=(0, None))
    axes.set_title(f"Latency, {len(segments)} segments" + ("" if report.realtime else " (faster than real time)"))
    axes.legend(loc="lower right")
    return _save(figure, folder / "latency.png")


def _draw_stages(report: ReplayReport, folder: Path) -> Path:
    """Median time of each stage, and the 95th percentile as a mark."""
    stages = report.totals.stages
    figure, axes = plt.subplots(figsize=(7, 0.35 * len(stages) + 1.5), layout="constrained")
    names = list(stages)
    medians = [stages[name].median_ms for name in names]
    axes.barh(names, medians, color=_BUSY, label="working, median")
    waits = [stages[name].median_wait_ms for name in names]
    axes.barh(names, waits, left=medians, color=_WAIT, label="waiting, median")
    axes.plot([stages[name].p95_ms for name in names], names, "k|", markersize=10, label="working, 95th percentile")
    axes.invert_yaxis()
    axes.set(xlabel="ms per segment", title="Time in each stage, from microphone to transcript")
    axes.set_xlim(0, None)
    axes.legend(loc="best")
    return _save(figure, folder / "stages.png")


def _draw_slices(report: ReplayReport, folder: Path) -> Path:
    """Word errors of the slices, the largest slices first."""
    known = [found for found in report.slices if found.wer is not None]
    largest = sorted(known, key=lambda found: -found.words)[:MOST_SLICES]
    ordered = sorted(largest, key=lambda found: (found.tag, found.wer or 0.0))
    figure, axes = plt.subplots(figsize=(8, 0.28 * len(ordered) + 1.5), layout="constrained")
    labels = [f"{found.tag} = {found.value} ({found.words} words)" for found in ordered]
    axes.barh(labels, [100 * (found.wer or 0.0) for found in ordered], color=_BUSY)
    if report.totals.wer is not None:
        axes.axvline(100 * report.totals.wer, color="grey", linestyle=":", label="all")
        axes.legend(loc="best")
    axes.invert_yaxis()
    axes.set(xlabel="word error rate, %", title="Word errors by slice")
    return _save(figure, folder / "slices.png")


def _draw_segments(report: ReplayReport, folder: Path) -> Path:
    """Where speech was found in the first utterances, and what was heard."""
    shown = [utterance for utterance in report.utterances if utterance.segments][:MOST_UTTERANCES]
    figure, all_axes = plt.subplots(
        len(shown), 1, figsize=(9, 0.8 * len(shown) + 0.8), layout="constrained", squeeze=False, sharex=True
    )
    for axes, utterance in zip(all_axes[:, 0], shown, strict=True):
        _draw_utterance(axes, utterance)
    all_axes[-1, 0].set(xlabel="s", xlim=(0, max(utterance.audio_s for utterance in shown)))
    figure.suptitle("Segments: sent (yellow), last voiced sample (line)")
    return _save(figure, folder / "segments.png")


def _draw_utterance(axes: Axes, utterance: UtteranceReport) -> None:
    axes.set(ylim=(0, 1), yticks=[])
    axes.barh(0.5, utterance.audio_s, height=1.0, color="#eeeeee")
    for segment in utterance.segments:
        axes.barh(0.5, segment.end_s - segment.start_s, left=segment.start_s, height=0.9, color=_SPEECH)
        axes.axvline(segment.last_voiced_s, color="black", linewidth=0.8)
        axes.text(segment.start_s, 0.5, " " + segment.text, va="center", fontsize=8, clip_on=True)
    axes.set_ylabel(utterance.id[-24:], rotation=0, ha="right", va="center", fontsize=7)


def _save(figure: Figure, file: Path) -> Path:
    figure.savefig(file, dpi=110)
    plt.close(figure)
    return file
