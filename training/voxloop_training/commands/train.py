"""`voxloop train`: make a model from a recipe."""

import os
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from voxloop_proto.errors import ConfigError
from voxloop_training.corpus import data_root
from voxloop_training.peers import join_peers
from voxloop_training.recipe import Recipe, load_recipe
from voxloop_training.stop_request import INTERRUPTED, stop_on_signals
from voxloop_training.trainer import Trainer

log = structlog.get_logger("training")


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file with all settings")],
    run_dir: Annotated[Path, typer.Argument(help="folder of checkpoints and figures; a run in it is resumed")],
    resume: Annotated[bool, typer.Option(help="go on from the folder's newest checkpoint")] = True,
    max_minutes: Annotated[float | None, typer.Option(help="budget in minutes, instead of the recipe's")] = None,
    max_hours_seen: Annotated[
        float | None, typer.Option(help="budget in hours of audio, instead of the recipe's")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="budget in steps, instead of the recipe's")] = None,
) -> None:
    """Train a model; under torchrun, with one process per core.

    The learning rate falls over the last part of the budget. Ctrl-C saves a checkpoint and exits with 130.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = _with_budget(load_recipe(recipe), max_minutes, max_hours_seen, max_steps)
    if not resume and any((run_dir / "checkpoints").glob("*.pt")):
        raise ConfigError(f"{run_dir} holds a run; choose another folder or resume it")
    run_dir.mkdir(parents=True, exist_ok=True)
    with stop_on_signals() as stop, join_peers(settings.loop.threads) as peers:
        done = Trainer(settings, run_dir, data_root(), peers, stop_requested=stop).run()
    if not done:
        log.info("stopped", pid=os.getpid())
        raise typer.Exit(INTERRUPTED)


def _with_budget(recipe: Recipe, minutes: float | None, hours_seen: float | None, steps: int | None) -> Recipe:
    """The recipe with other limits, where any is given."""
    if minutes is None and hours_seen is None and steps is None:
        return recipe
    limits = {"budget_minutes": minutes, "budget_hours_seen": hours_seen, "budget_steps": steps}
    return recipe.model_copy(update={"schedule": recipe.schedule.model_copy(update=limits)})
