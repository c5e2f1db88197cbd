"""The training loop: curriculum, budget, checkpoints, evaluation."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import structlog
import torch

from voxloop_training.checkpoint import CheckpointStore
from voxloop_training.dev_sets import DevSet, read_all
from voxloop_proto.errors import ModelError
from voxloop_training.learner import Learner, StepReport
from voxloop_training.peers import Peers
from voxloop_training.progress import Progress
from voxloop_training.recipe import Recipe, StageConfig
from voxloop_training.scoring import Score
from voxloop_training.tokens import Tokens
from voxloop_training.tracking import Tracker
from voxloop_training.training_data import TrainingData

_SMOOTHING = 0.02
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
        self.learner = Learner(recipe, self._data, peers, self._tokens)
        self._store = CheckpointStore(folder / "checkpoints", recipe.loop.keep_checkpoints)
        self.progress = self._resume()
        self._tracker = Tracker.open(folder, recipe) if peers.leads else None
        self._evaluations = folder / "evaluations.jsonl"

    def run(self) -> bool:
        """Train to the end of the budget; False when it was stopped before that."""
        started_s = self._clock_s() - self.progress.elapsed_s
        plan = self._plan()
        while not self._spent():
            if self.progress.index >= len(plan):
                self.progress = self.progress.next_epoch()
                plan = self._plan()
            report = self._step(plan[self.progress.index], self._clock_s() - started_s)
            self._keep_up()
            if self._stage_is_over():
                log.info("stage_over", stage=self.progress.stage, step=self.progress.step)
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

    def _plan(self) -> list[tuple[tuple[str, ...], ...]]:
        return self._data.plan(self._stage(), self.progress.epoch)

    def _spent(self) -> bool:
        return self._recipe.schedule.progress(self.progress.elapsed_s, self.progress.step) >= 1.0

    def _stage_is_over(self) -> bool:
        stage, progress = self._stage(), self.progress
        if progress.stage + 1 >= len(self._recipe.stages):
            return False
        return progress.smoothed_loss < stage.until_loss or progress.stage_step >= (stage.steps or 1 << 62)

    def _step(self, batches: tuple[tuple[str, ...], ...], clock_s: float) -> StepReport:
        now, config = self.progress, self._recipe
        rate = config.optimizer.learning_rate * config.schedule.factor(now.elapsed_s, now.step)
        mine = batches[self._peers.rank]
        report = self.learner.step(mine, self._stage(), now.step, rate, clock_s, self._stop_requested())
        self.progress = _after(now, report)
        if self.progress.skipped_in_a_row >= config.loop.skip_limit:
            raise ModelError(f"{config.loop.skip_limit} steps in a row were not finite; the last checkpoint is good")
        if self._peers.leads and self.progress.step % config.loop.log_steps == 0:
            self._log_step(report, rate)
        return report

    def _log_step(self, report: StepReport, rate: float) -> None:
        now = self.progress
        speed_ratio = now.hours_seen * 3600 / max(1e-9, now.elapsed_s)
        log.info(
            "step", step=now.step, stage=now.stage, epoch=now.epoch, loss=round(now.smoothed_loss, 3),
            gradient_norm=round(report.gradient_norm, 2), learning_rate=f"{rate:.2e}", hours=round(now.hours_seen, 2),
            minutes=round(now.elapsed_s / 60, 1), speed=f"{speed_ratio:.0f}x", skipped=now.skipped,
        )  # fmt: skip
        if self._tracker:
            values = {"loss": now.smoothed_loss, "learning_rate": rate, "hours_seen": now.hours_seen}
            self._tracker.log(values, now.step)

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
        scores = read_all(
            self._dev, self.learner.model, self._peers, self._tokens, self._recipe.loop.dev_chunk_frames
        )
        mean = sum(score.cer_ratio for score in scores.values()) / len(scores)
        better = mean < self.progress.best_cer_ratio
        self.progress = replace(
            self.progress,
            evaluated_at_s=self.progress.elapsed_s,
            best_cer_ratio=min(mean, self.progress.best_cer_ratio),
        )
        if self._peers.leads:
            self._report(scores)
            if better:
                self._store.save_best(self._state())

    def _report(self, scores: dict[str, Score]) -> None:
        now = self.progress
        row = {"step": now.step, "minutes": round(now.elapsed_s / 60, 1), "hours_seen": round(now.hours_seen, 2)}
        with self._evaluations.open("a", encoding="utf-8") as sink:
            sink.write(json.dumps(row | {name: asdict(score) for name, score in scores.items()}) + "\n")
        for name, score in scores.items():
            log.info("dev", set=name, wer=f"{score.wer_ratio:.3f}", cer=f"{score.cer_ratio:.3f}", hours=row["hours_seen"])
            if self._tracker:
                self._tracker.log({f"{name}.wer": score.wer_ratio, f"{name}.cer": score.cer_ratio}, now.step)

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

    def _resume(self) -> Progress:
        """Continue from the newest checkpoint, if there is one."""
        state = self._store.load_last()
        if state is None:
            return Progress()
        self.learner.optimizer.load(state["optimizer"])
        with torch.no_grad():
            self.learner.model.mean.copy_(state["model"]["mean"])
            self.learner.model.deviation.copy_(state["model"]["deviation"])
        progress = Progress(**state["progress"])
        log.info("resumed", step=progress.step, minutes=round(progress.elapsed_s / 60, 1))
        return progress


def _after(now: Progress, report: StepReport) -> Progress:
    """Progress after a step; the smoothed loss ignores skipped steps."""
    weight = 0.0 if report.skipped else max(_SMOOTHING, 1.0 / (now.step + 1))
    loss = now.smoothed_loss if report.skipped else report.loss_per_character
    audio_s = 0.0 if report.skipped else report.audio_s
    return replace(
        now,
        step=now.step + 1,
        stage_step=now.stage_step + 1,
        index=now.index + 1,
        elapsed_s=report.clock_s if report.clock_s == report.clock_s else now.elapsed_s,
        hours_seen=now.hours_seen + audio_s / 3600,
        smoothed_loss=now.smoothed_loss + weight * (loss - now.smoothed_loss),
        skipped=now.skipped + report.skipped,
        skipped_in_a_row=now.skipped_in_a_row + 1 if report.skipped else 0,
    )


def _open_dev_sets(recipe: Recipe, root: Path, peers: Peers) -> list[DevSet]:
    if not peers.leads:
        peers.wait()
    sets = [DevSet(root / manifest, recipe.data.cache) for manifest in recipe.data.dev]
    if peers.leads:
        peers.wait()
    return sets
