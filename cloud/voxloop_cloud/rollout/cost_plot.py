"""The cost curve as a picture. Needs matplotlib (extra `plots`)."""

from collections.abc import Sequence
from pathlib import Path

from voxloop_cloud.rollout.cost_curve import CostPoint
from voxloop_proto.errors import ConfigError

_INCHES = (6.0, 3.6)


def draw_cost_curve(points: Sequence[CostPoint], picked: CostPoint, title: str, file: Path) -> None:
    """Cost of an utterance, wrong answers and reviews over the threshold; the suffix of the file chooses the format.

    Raises ConfigError if matplotlib is not there, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 (only who draws needs it)
    except ModuleNotFoundError as error:
        raise ConfigError("--plot needs matplotlib; install it with: pip install 'voxloop[plots]'") from error
    figure = Figure(figsize=_INCHES, layout="constrained")
    costs = figure.subplots()
    shares = costs.twinx()
    thresholds = [min(point.threshold, 1.0) for point in points]
    costs.plot(thresholds, [point.cost for point in points], color="#1f4e79", label="cost of an utterance")
    costs.axvline(min(picked.threshold, 1.0), color="#888888", linestyle="--", linewidth=0.8)
    shares.plot(thresholds, [100 * point.wrong_ratio for point in points], color="#b3541e", label="answered wrong, %")
    shares.plot(thresholds, [100 * point.reviewed_ratio for point in points], color="#4f7942", label="reviewed, %")
    costs.set(xlabel="least confidence", ylabel="cost", xlim=(0, 1), ylim=(0, None), title=title)
    shares.set(ylabel="% of the utterances", ylim=(0, 100))
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot draw {file}: {error}; give a file .svg or .png in a folder that is there") from error
