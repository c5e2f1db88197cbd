"""Models from checkpoints, and the average of several."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from voxloop_proto.errors import DataError
from voxloop_training.checkpoint import load_checkpoint
from voxloop_training.model import ConformerCtc
from voxloop_training.recipe import Recipe


def recipe_of(checkpoint: Path) -> Recipe:
    """The recipe that a checkpoint was trained with."""
    return Recipe.model_validate_json(load_checkpoint(checkpoint)["recipe"])


def hours_seen_of(checkpoint: Path) -> float:
    """Hours of audio that the weights have seen, those of the run's parents included as far as they are still there."""
    state, hours = load_checkpoint(checkpoint), 0.0
    while True:
        hours += float(state["progress"]["hours_seen"])
        parent = Recipe.model_validate_json(state["recipe"]).parent
        if parent is None or not parent.is_file():
            return hours
        state = load_checkpoint(parent)


def load_model(checkpoints: Sequence[Path]) -> ConformerCtc:
    """A float32 model whose weights are the mean of all checkpoints'."""
    if not checkpoints:
        raise DataError("no checkpoints to load a model from; give a run directory that has some")
    states: list[dict[str, Tensor]] = [load_checkpoint(path)["model"] for path in checkpoints]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(dim=0) for name in states[0]}
    model = ConformerCtc(recipe_of(checkpoints[-1]).model)
    model.load_state_dict(mean)
    return model.eval()
