"""The training loop: curriculum, budget, checkpoints, evaluation."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog
import torch

from voxloop_proto.errors import ModelError
from voxloop_training.checkpoint import CheckpointStore, load_checkpoint
from voxloop_training.dev_sets import DevSet, read_all
from voxloop_training.epoch_plan import StepPlan
from voxloop_training.learner import Learner, StepReport
from voxloop_training.peers import Peers
from voxloop_training.progress import Progress
from voxloop_training.recipe import Recipe, StageConfig
from voxloop_training.run_log import RunLog
from voxloop_training.tokens import Tokens
from voxloop_training.training_data import TrainingData

_SMOOTHING: Final = 0.02
log = structlog.get_logger("training")


class Trainer:
    """Runs a recipe in a folder until its budget is spent or somebody asks it to stop; then it can be run again."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        root: Path,
        peers: Peers,
        clock_s: Callable[[], float] = time.monotonic,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self._recipe = recipe
        self._peers = peers
        self._clock_s = clock_s
        self._stop_requested = stop_requested
        self._tokens = Tokens.characters()
        self._data = TrainingData(recipe, root, peers, self._tokens)
        self._dev = _open_dev_sets(recipe, root, peers)
        self.learner = Learner(recipe, self._data, peers)
        self._store = CheckpointStore(folder / "checkpoints", recipe.loop.keep_checkpoints)
        self.progress = self._resume()
        self._log = RunLog(folder, recipe) if peers.leads else None

    def run(self) -> bool:
        """Train to the end of the budget; False when it was stopped before that."""
        try:
            return self._run()
        finally:
            if self._log:
                self._log.close()

    def _run(self) -> bool:
        started_s = self._clock_s() - self.progress.elapsed_s
        plan = self._plan()
        while not self._spent():
            if self.progress.index >= len(plan):
                self.progress = self.progress.next_epoch()
                plan = self._plan()
            report = self._step(plan[self.progress.index], self._clock_s() - started_s)
            self._keep_up()
            if self._stage_is_over():
                self.progress = self.progress.next_stage()
                plan = self._plan()
            if report.stop:
                self._save()
                return False
        self._evaluate()
        self._save()
        return True

    def _stage(self) -> StageConfig:
        return self._recipe.stages[min(self.progress.stage, len(self._recipe.stages) - 1)]

    def _plan(self) -> list[StepPlan]:
        return self._data.plan(self._stage(), self.progress.epoch)

    def _spent(self) -> bool:
        return self._recipe.schedule.spent_ratio(self.progress) >= 1.0

    def _stage_is_over(self) -> bool:
        stage, progress = self._stage(), self.progress
        if progress.stage + 1 >= len(self._recipe.stages):
            return False
        too_long = stage.steps is not None and progress.stage_step >= stage.steps
        return too_long or progress.smoothed_loss < stage.until_loss

    def _step(self, batches: StepPlan, clock_s: float) -> StepReport:
        now, config = self.progress, self._recipe
        rate = config.optimizer.learning_rate * config.schedule.rate_ratio(now)
        mine = batches[self._peers.rank]
        report = self.learner.step(mine, self._stage(), now.step, rate, clock_s, self._stop_requested())
        self.progress = progress_after(now, report)
        if self.progress.skipped_in_a_row >= config.loop.skip_limit:
            raise ModelError(f"{config.loop.skip_limit} steps in a row were not finite; the last checkpoint is good")
        if self._log:
            self._log.step(self.progress, report, rate)
        return report

    def _keep_up(self) -> None:
        """Evaluate and save when it is time; all peers agree, because they share one clock."""
        now, loop = self.progress, self._recipe.loop
        if now.elapsed_s - now.evaluated_at_s >= 60 * loop.evaluate_minutes:
            self._evaluate()
        if now.elapsed_s - now.saved_at_s >= 60 * loop.save_minutes:
            self._save()

    def _evaluate(self) -> None:
        if not self._dev:
            return
        chunk_frames = self._recipe.loop.dev_chunk_frames
        scores = read_all(self._dev, self.learner.model, self._peers, chunk_frames)
        mean = sum(score.cer or 0.0 for score in scores.values()) / len(scores)
        best = self.progress.best_cer_ratio
        self.progress = replace(self.progress, evaluated_at_s=self.progress.elapsed_s, best_cer_ratio=min(mean, best))
        if self._log:
            self._log.scores(self.progress, scores)
            if mean < best:
                self._store.save_best(self._state())

    def _save(self) -> None:
        self.progress = replace(self.progress, saved_at_s=self.progress.elapsed_s)
        if self._peers.leads:
            self._store.save(self.progress.step, self._state())

    def _state(self) -> dict[str, Any]:
        model = self.learner.model
        names = [name for name, _ in model.named_parameters()]
        weights = dict(zip(names, self.learner.optimizer.masters(), strict=True))
        return {
            "model": weights | {"mean": model.mean, "deviation": model.deviation},
            "optimizer": self.learner.optimizer.state(),
            "progress": self.progress.to_dict(),
            "recipe": self._recipe.model_dump_json(),
        }

    def _start_from_parent(self) -> None:
        if self._recipe.parent is None:
            return
        weights = load_checkpoint(self._recipe.parent)["model"]
        log.info("started_from_parent", parent=str(self._recipe.parent), random=self.learner.adopt(weights))

    def _resume(self) -> Progress:
        """Continue from the newest checkpoint, if there is one."""
        state = self._store.load_last()
        if state is None:
            self._start_from_parent()
            return Progress()
        self.learner.optimizer.load(state["optimizer"])
        with torch.no_grad():
            self.learner.model.mean.copy_(state["model"]["mean"])
            self.learner.model.deviation.copy_(state["model"]["deviation"])
        progress = Progress(**state["progress"])
        if self._peers.leads:
            log.info("resumed", step=progress.step, minutes=round(progress.elapsed_s / 60, 1))
        return progress


def progress_after(now: Progress, report: StepReport) -> Progress:
    """Progress after a step; a skipped step moves on in the data, but its loss and its audio do not count."""
    kept = not report.skipped
    weight = max(_SMOOTHING, 1.0 / (now.step + 1)) if kept else 0.0
    loss = report.loss_per_character if kept else now.smoothed_loss
    return replace(
        now,
        step=now.step + 1,
        stage_step=now.stage_step + 1,
        index=now.index + 1,
        elapsed_s=report.clock_s if math.isfinite(report.clock_s) else now.elapsed_s,
        hours_seen=now.hours_seen + (report.audio_s / 3600 if kept else 0.0),
        smoothed_loss=now.smoothed_loss + weight * (loss - now.smoothed_loss),
        skipped=now.skipped + report.skipped,
        skipped_in_a_row=0 if kept else now.skipped_in_a_row + 1,
    )


def _open_dev_sets(recipe: Recipe, root: Path, peers: Peers) -> list[DevSet]:
    """The leader decodes first, so that the others find the audio cached."""
    if not peers.leads:
        peers.wait()
    sets = [DevSet(root / manifest, recipe.data.cache) for manifest in recipe.data.dev]
    if peers.leads:
        peers.wait()
    return sets
