"""What a run tells of itself: log lines, figures on disk and in MLflow, a bar on a terminal."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import structlog
from rich.progress import Progress as Bar

from voxloop_proto.scoring import Score
from voxloop_training.learner import StepReport
from voxloop_training.progress import Progress
from voxloop_training.recipe import Recipe
from voxloop_training.tracking import Tracker

_EVALUATIONS: Final = "evaluations.jsonl"
log = structlog.get_logger("training")


class RunLog:
    """The leader's account of a run; `evaluations.jsonl` in the run's folder has one row per evaluation."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self._folder = folder
        self._recipe = recipe
        folder.mkdir(parents=True, exist_ok=True)
        self._tracker = Tracker.open(folder, recipe) if recipe.loop.tracking else None
        self._bar = Bar(disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("training", total=1.0)
        self._bar.start()

    def close(self) -> None:
        """Give the terminal back."""
        self._bar.stop()

    def step(self, now: Progress, report: StepReport, learning_rate: float) -> None:
        """One line every `log_steps` steps."""
        self._bar.update(self._task, completed=self._recipe.schedule.spent_ratio(now))
        if now.step % self._recipe.loop.log_steps:
            return
        speed_ratio = now.hours_seen * 3600 / max(1e-9, now.elapsed_s)
        log.info(
            "step", step=now.step, stage=now.stage, epoch=now.epoch, loss=round(now.smoothed_loss, 3),
            gradient_norm=round(report.gradient_norm, 2), learning_rate=f"{learning_rate:.2e}",
            hours=round(now.hours_seen, 2), minutes=round(now.elapsed_s / 60, 1), speed=f"{speed_ratio:.0f}x",
            skipped=now.skipped,
        )  # fmt: skip
        values = {"loss": now.smoothed_loss, "learning_rate": learning_rate, "hours_seen": now.hours_seen}
        self._track(values, now.step)

    def scores(self, now: Progress, scores: Mapping[str, Score]) -> None:
        """The outcome of an evaluation."""
        row = {"step": now.step, "minutes": round(now.elapsed_s / 60, 1), "hours_seen": round(now.hours_seen, 2)}
        figures = {name: {**asdict(score), "wer": score.wer, "cer": score.cer} for name, score in scores.items()}
        with (self._folder / _EVALUATIONS).open("a", encoding="utf-8") as sink:
            sink.write(json.dumps({**row, **figures}) + "\n")
        for name, score in scores.items():
            if score.wer is not None and score.cer is not None:
                log.info("dev", set=name, wer=f"{score.wer:.3f}", cer=f"{score.cer:.3f}", **row)
                self._track({f"{name}.wer": score.wer, f"{name}.cer": score.cer}, now.step)

    def _track(self, values: Mapping[str, float], step: int) -> None:
        if self._tracker:
            self._tracker.log(values, step)
