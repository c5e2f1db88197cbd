"""One step of training: two processes' gradients, one update."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxloop_training.batch import Batch
from voxloop_training.competition import competition
from voxloop_training.ctc import clip_weights, ctc_losses
from voxloop_training.model import ConformerCtc
from voxloop_training.model.conformer import Readings
from voxloop_training.optimizer import MasterOptimizer
from voxloop_training.peers import Peers
from voxloop_training.recipe import Recipe, StageConfig
from voxloop_training.training_data import TrainingData


@dataclass(frozen=True)
class StepReport:
    """What all peers know after a step.

    A skipped step left the weights as they were: its loss or its gradient was not finite.
    """

    loss_per_character: float
    audio_s: float
    clock_s: float
    gradient_norm: float
    skipped: bool
    stop: bool


class Learner:
    """Model and optimiser of one process."""

    def __init__(self, recipe: Recipe, data: TrainingData, peers: Peers) -> None:
        torch.manual_seed(recipe.loop.seed)
        self._recipe = recipe
        self._data = data
        self._peers = peers
        self.model = ConformerCtc(recipe.model)
        mean, deviation = data.feature_statistics()
        self.model.mean.copy_(mean)
        self.model.deviation.copy_(deviation)
        self.optimizer = MasterOptimizer(self.model, recipe.optimizer, peers)
        self._phone_trigram = data.phone_trigram()

    def adopt(self, weights: Mapping[str, Tensor]) -> list[str]:
        """Start from a parent's weights where name and shape agree; returns the names of those that stay random."""
        return self.optimizer.adopt([name for name, _ in self.model.named_parameters()], weights)

    def step(
        self, clip_ids: tuple[str, ...], stage: StageConfig, step: int, learning_rate: float, clock_s: float, stop: bool
    ) -> StepReport:
        """Learn from a batch; clock and stop request count only as the sum over peers sees them."""
        loss, characters, seconds = self._backward(clip_ids, stage, step)
        signals = torch.tensor([loss, characters, seconds, clock_s if self._peers.leads else 0.0, float(stop)])
        gradient = self._peers.sum(self.optimizer.take_gradient()).float()
        shared: list[float] = self._peers.sum(signals).tolist()
        per_character = 1.0 / max(1.0, shared[1])
        finite = math.isfinite(shared[0]) and bool(torch.isfinite(gradient).all())
        norm = self.optimizer.step(gradient * per_character, learning_rate) if finite else float("nan")
        return StepReport(shared[0] * per_character, shared[2], shared[3], norm, not finite, shared[4] > 0)

    def _backward(self, clip_ids: tuple[str, ...], stage: StageConfig, step: int) -> tuple[float, int, float]:
        """Leaves the gradient of the summed loss in the model; returns loss, characters and seconds of audio."""
        loop = self._recipe.loop
        rng = np.random.default_rng((loop.seed, step, self._peers.rank))
        torch.manual_seed(int(rng.integers(2**62)))
        chunk_frames = int(np.random.default_rng((loop.seed, step)).choice(loop.chunk_frames))
        batch = self._data.batch(clip_ids, stage.augmented, rng)
        loss, total = self._losses(self.model(batch.features, chunk_frames), batch, stage.competition_weight)
        weights = clip_weights(batch.targets.lengths, loop.short_gain)
        (weights * total).sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return float(loss.detach().sum()), int(batch.targets.lengths.sum()), batch.seconds

    def _losses(self, readings: Readings, batch: Batch, competition_weight: float) -> tuple[Tensor, Tensor]:
        """Of each clip, (B): the CTC loss of what is served (phones, where the model has them), and what is learned."""
        loop = self._recipe.loop
        frames = batch.encoder_frames * self._recipe.model.outputs_per_frame
        served = readings.characters if readings.phones is None else readings.phones
        said = batch.targets if readings.phones is None else batch.phones
        loss = total = ctc_losses(served, frames, said)
        if competition_weight:
            rivals = competition(served, frames, self._phone_trigram)
            total = total + competition_weight * torch.where(loss > 0, rivals, 0.0)
        if self._recipe.model.middle_block:
            total = (1.0 - loop.middle_weight) * total + loop.middle_weight * ctc_losses(readings.middle, frames, said)
        if readings.phones is not None and loop.phone_weight < 1.0:
            characters = ctc_losses(readings.characters, frames, batch.targets)
            total = loop.phone_weight * total + (1.0 - loop.phone_weight) * characters
        return loss, total
