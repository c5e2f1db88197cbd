"""`voxloop deploy threshold`: from which confidence on the model may answer alone."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from voxloop_cloud.bundle import find_bundle, load_bundle
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.rollout.cost_curve import ALWAYS_REVIEW, CostPoint, Costs, at_shares, cost_curve, pick
from voxloop_cloud.rollout.cost_plot import draw_cost_curve
from voxloop_cloud.rollout.labelled_clips import read_labelled_clips
from voxloop_cloud.rollout.threshold_pick import judge_clips

_SHARES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


def threshold(
    sets: Annotated[list[Path], typer.Argument(help="manifests of labelled clips, 16 kHz", metavar="SET.jsonl...")],
    bundle: Annotated[str | None, typer.Option(help="folder or name of the bundle (default: the default one)")] = None,
    wrong_cost: Annotated[float, typer.Option(min=0, help="what an utterance costs that is answered wrongly")] = 5.0,
    review_cost: Annotated[float, typer.Option(min=0, help="what it costs that a person hears one")] = 1.0,
    plot: Annotated[Path | None, typer.Option(help="draw the curve into this file, .svg or .png")] = None,
) -> None:
    """Pick the threshold of partial automation: hear labelled clips, and weigh wrong answers against reviews.

    Only the quotient of the two costs counts. Take clips as your users say them, that the bundle was not trained on;
    an utterance is wrong if one word is.

    \b
      voxloop deploy threshold mine/dev.jsonl --wrong-cost 10 --review-cost 1 --plot curve.svg
      voxloop deploy automation partial --least-confidence 0.62 --reason "the cheapest on mine/dev"
    """
    clips = [clip for manifest in sets for clip in read_labelled_clips(manifest)]
    recognizer = Recognizer(load_bundle(find_bundle(bundle)))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("hearing clips", total=len(clips))
        judged = judge_clips(clips, recognizer, lambda: progress.advance(task))
    points = cost_curve(judged, Costs(wrong_cost, review_cost))
    picked = pick(points)
    _show(points, picked)
    if plot is not None:
        draw_cost_curve(points, picked, f"{recognizer.bundle.label}, {len(clips)} clips", plot)
    typer.echo(_advice(picked, points[0].cost))


def _show(points: list[CostPoint], picked: CostPoint) -> None:
    table = Table("below", "reviewed", "answered wrong", "cost", "", box=None)
    for point in sorted({*at_shares(points, _SHARES), picked}, key=lambda each: each.threshold):
        below = "all" if point.threshold == ALWAYS_REVIEW else f"{point.threshold:.3f}"
        cells = (f"{100 * point.reviewed_ratio:.1f} %", f"{100 * point.wrong_ratio:.1f} %", f"{point.cost:.3f}")
        table.add_row(below, *cells, "cheapest" if point == picked else "")
    Console().print(table)


def _advice(picked: CostPoint, full_cost: float) -> str:
    if picked.threshold == 0.0:
        return "The model alone is the cheapest: voxloop deploy automation full"
    if picked.threshold == ALWAYS_REVIEW:
        return "People alone are the cheapest: voxloop deploy automation assistance"
    saved = 100 * (1 - picked.cost / full_cost)
    return (
        f"The cheapest, by {saved:.0f} % below the model alone: "
        f"voxloop deploy automation partial --least-confidence {picked.threshold:.3f}"
    )
