"""What the trials come to: rates with their intervals, delays, and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy.stats import beta
from tests.bench.drift.trials import Found

matplotlib.use("Agg")
import matplotlib.pyplot as plt

IN_TIME = 500


def rate(hits: int, trials: int) -> dict[str, Any]:
    """A share and its 95 % interval (Clopper and Pearson's)."""
    low = float(beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return {"hits": hits, "trials": trials, "share": hits / trials, "low": low, "high": high}


def delays(found: Sequence[Found], stage: str) -> dict[str, Any]:
    """Of one change: how late its first alarm came, and whether that named the right stage."""
    waits = sorted(each.utterances for each in found if each.utterances is not None)
    blamed = [each.drift.blame.stage for each in found if each.drift and each.drift.blame]
    first = [f"{each.drift.metric} ({each.drift.kind})" for each in found if each.drift]
    return {
        "trials": len(found),
        "found": len(waits),
        "median": float(np.median(waits)) if waits else None,
        "p95": float(np.quantile(waits, 0.95)) if waits else None,
        "most": waits[-1] if waits else None,
        "in_time": sum(wait <= IN_TIME for wait in waits) / len(found),
        "right_stage": sum(name == stage for name in blamed) / max(1, len(blamed)),
        "blamed": _counted(blamed),
        "first_metric": _counted(first),
        "waits": waits,
    }


def _counted(names: Sequence[str]) -> dict[str, int]:
    return dict(sorted(((name, names.count(name)) for name in set(names)), key=lambda each: -each[1]))


def plot(result: dict[str, Any], file: Path) -> None:
    """Left: delays of all changes; right: false alarms of a week, beside the plain way's."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(2.2, 1))
    changes = {name: each for name, each in result["changes"].items() if each["waits"]}
    left.boxplot([each["waits"] for each in changes.values()], orientation="horizontal", whis=(0, 100), widths=0.55)
    left.set_yticks(range(1, len(changes) + 1), [f"{each['what']}" for each in changes.values()], fontsize=8)
    left.axvline(IN_TIME, color="0.5", linestyle="--", linewidth=1)
    left.set(xlabel="utterances from the change to the first alarm", xlim=(0, None))
    left.invert_yaxis()
    left.grid(axis="x", alpha=0.3)
    rows = [*result["null"].items(), *((f"the plain way, {name}", each) for name, each in result["plain"].items())]
    shares = [100 * each["share"] for _, each in rows]
    reach = [
        [max(0.0, 100 * (each["share"] - each["low"])) for _, each in rows],
        [100 * (each["high"] - each["share"]) for _, each in rows],
    ]
    right.errorbar(shares, range(len(rows)), xerr=reach, fmt="o", capsize=3)
    right.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    right.axvline(1.0, color="0.5", linestyle="--", linewidth=1)
    right.set_xscale("symlog", linthresh=1.0)
    right.set(xlabel="weeks with a false alarm, % (95 % interval)", xlim=(-0.2, 120), ylim=(-0.7, len(rows) - 0.3))
    right.invert_yaxis()
    right.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
