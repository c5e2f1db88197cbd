"""What the trials come to: rates with their intervals, delays, and a picture."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy.stats import beta
from tests.bench.drift.trials import Found

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

IN_TIME = 500
_TRACES = 10
_NOT_DELAYS = frozenset({"changes", "labels", "null", "plain", "crowd", "commit"})


def rate(hits: int, trials: int) -> dict[str, Any]:
    """A share and its 95 % interval (Clopper and Pearson's)."""
    low = float(beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return {"hits": hits, "trials": trials, "share": hits / trials, "low": low, "high": high}


def delays(found: Sequence[Found], stage: str) -> dict[str, Any]:
    """Of one change: how late its first alarm came, and what that named."""
    waits = [each.utterances for each in found if each.utterances is not None]
    drifts = [each.drift for each in found if each.drift]
    blamed = [drift.blame.stage for drift in drifts if drift.blame]
    return {
        "stage": stage,
        "trials": len(found),
        "found": len(waits),
        "median": float(np.median(waits)) if waits else None,
        "p95": float(np.quantile(waits, 0.95)) if waits else None,
        "most": max(waits, default=None),
        "median_hours": float(np.median([each.hours for each in found if each.hours is not None])) if waits else None,
        "in_time": sum(wait <= IN_TIME for wait in waits) / len(found),
        "right_stage": blamed.count(stage) / max(1, len(blamed)),
        "blamed": _counted(blamed),
        "first_metric": _counted(drift.metric for drift in drifts),
        "kinds": _counted(drift.kind for drift in drifts),
        "slices": _counted(drift.slice for drift in drifts),
        "waits": sorted(waits),
        "evidence": [list(each.evidence) for each in found[:_TRACES]],
    }


def tables(result: dict[str, Any]) -> str:
    """Of the delays, and of the false alarms, for docs/drift.md."""
    lines = [
        "| change | where | found | median | p95 | latest | hours | detector | slice named | first stage named |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for group in ("changes", *(name for name in result if name not in _NOT_DELAYS), "labels"):
        for name, each in result.get(group, {}).items():
            where = "" if group == "changes" else group
            shown = [each.get("what", name), where, f"{each['found']} of {each['trials']}"]
            shown += ["-" if each[key] is None else f"{each[key]:.0f}" for key in ("median", "p95", "most")]
            shown += ["-" if each["median_hours"] is None else f"{each['median_hours']:.1f}"]
            shown += [_said(each[key]) for key in ("kinds", "slices", "blamed")]
            lines.append(f"| {' | '.join(shown)} |")
    lines += [
        "",
        "| weeks without change | watched by | weeks | with an alarm | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for group, by in (("null", "this"), ("plain", "KS of the last 500")):
        for name, each in result.get(group, {}).items():
            share, interval = f"{each['hits']}, {each['share']:.1%}", f"{each['low']:.1%} to {each['high']:.1%}"
            lines.append(f"| {name} | {by} | {each['trials']} | {share} | {interval} |")
    return "\n".join(lines)


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "-"


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def plot(result: dict[str, Any], look_utterances: int, file: Path) -> None:
    """Delays of all changes; evidence over time of some; false alarms of a week, beside the plain way's."""
    figure, axes = plt.subplots(1, 3, figsize=(16, 5), width_ratios=(1.2, 1.3, 0.8), layout="constrained")
    changes = {name: each for name, each in result["changes"].items() if each["waits"]}
    _plot_delays(axes[0], changes)
    _plot_evidence(axes[1], changes, look_utterances)
    _plot_rates(axes[2], result)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _plot_delays(axes: Axes, changes: dict[str, Any]) -> None:
    axes.boxplot([each["waits"] for each in changes.values()], orientation="horizontal", whis=(0, 100), widths=0.55)
    axes.set_yticks(range(1, len(changes) + 1), [each["what"] for each in changes.values()], fontsize=8)
    axes.axvline(IN_TIME, color="0.5", linestyle="--", linewidth=1)
    axes.set(xlabel="utterances from the change to the first alarm", xlim=(0, None))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)


def _plot_evidence(axes: Axes, changes: dict[str, Any], look_utterances: int) -> None:
    for number, (name, each) in enumerate(changes.items()):
        for at, evidence in enumerate(each["evidence"][:2]):
            looks, colour = look_utterances * np.arange(1, len(evidence) + 1), plt.get_cmap("tab20")(number)
            axes.plot(looks, np.maximum(evidence, 1e-7), color=colour, label=None if at else name)
    axes.axhline(1.0, color="0.5", linestyle="--", linewidth=1)
    axes.set_yscale("log")
    axes.set(xlabel="utterances since the change", ylabel="evidence, of what an alarm needs", xlim=(0, IN_TIME))
    axes.set_ylim(1e-7, 1e3)
    axes.legend(fontsize=8, loc="lower right")
    axes.grid(alpha=0.3)


def _plot_rates(axes: Axes, result: dict[str, Any]) -> None:
    rows = [*result["null"].items(), *((f"the plain way,\n{name}", each) for name, each in result["plain"].items())]
    shares = [100 * each["share"] for _, each in rows]
    reach = [
        [max(0.0, 100 * (each["share"] - each["low"])) for _, each in rows],
        [100 * (each["high"] - each["share"]) for _, each in rows],
    ]
    axes.errorbar(shares, range(len(rows)), xerr=reach, fmt="o", capsize=3)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axes.axvline(1.0, color="0.5", linestyle="--", linewidth=1)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set(xlabel="weeks with a false alarm, %", xlim=(-0.2, 120), ylim=(-0.7, len(rows) - 0.3))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
