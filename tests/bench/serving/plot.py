"""The picture of a run: p95 of the latency over the number of streams."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_COLUMNS = 2


def plot_curves(results: list[dict[str, Any]], target_ms: float, file: Path) -> None:
    """One panel for each bundle and number of cores; a line for each server, the plain loop's bound as a mark."""
    columns = min(_COLUMNS, len(results))
    rows = -(-len(results) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(5.2 * columns, 3.8 * rows), squeeze=False, sharey=True)
    for axes in panels.flat[len(results) :]:
        axes.remove()
    for axes, result in zip(panels.flat, results, strict=False):
        for name, tried in result["latency_curve"].items():
            points = sorted((each["streams"], each["latency"]["p95"]) for each in tried if each["latency"])
            axes.plot(
                *zip(*points, strict=True),
                marker="o",
                markersize=3.5,
                linewidth=2 if name == "voxloop" else 1,
                label=name,
            )
        axes.axhline(target_ms, color="0.5", linestyle="--", linewidth=1)
        axes.axvline(result["onnxruntime_streams"], color="0.5", linestyle=":", linewidth=1)
        axes.text(
            result["onnxruntime_streams"], 0.03, "plain loop ", transform=axes.get_xaxis_transform(),
            color="0.4", fontsize=8, ha="right",
        )  # fmt: skip
        axes.set(
            yscale="log", xlabel="people who speak at once", title=f"{result['bundle']}, {result['cores']} core(s)"
        )
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="upper left")
    for row in panels:
        row[0].set_ylabel("p95 from segment's end to text, ms")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
