import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from voxloop_proto.errors import ModelError
from voxloop_training.checkpoint import load_checkpoint
from voxloop_training.learner import StepReport
from voxloop_training.peers import Peers
from voxloop_training.progress import Progress
from voxloop_training.recipe import Recipe, StageConfig
from voxloop_training.tokens import Tokens
from voxloop_training.trainer import Trainer, progress_after
from voxloop_training.weights import hours_seen_of

ALONE = Peers(0, 1)


class Ticks:
    """A clock that moves a second per look, so that runs can be compared."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def trained(recipe: Recipe, folder: Path, corpus: Path) -> list[torch.Tensor]:
    trainer = Trainer(recipe, folder, corpus, ALONE, clock_s=Ticks())
    assert trainer.run()
    return trainer.learner.optimizer.masters()


def test_a_killed_run_continues_as_if_nothing_had_happened(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    unbroken = trained(recipe, tmp_path / "unbroken", corpus)
    trained(recipe, tmp_path / "killed", corpus)
    for path in sorted((tmp_path / "killed/checkpoints").glob("step-*.pt"))[2:]:
        path.unlink()  # what a kill after the second checkpoint leaves
    resumed = trained(recipe, tmp_path / "killed", corpus)
    for left, right in zip(unbroken, resumed, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)


def test_a_stop_request_saves_and_ends_the_run(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe, tmp_path / "run", corpus, ALONE, stop_requested=lambda: True)
    assert not trainer.run()
    assert trainer.progress.step == 1
    assert Trainer(recipe, tmp_path / "run", corpus, ALONE).progress.step == 1


def test_a_step_that_is_not_finite_changes_no_weight(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe, tmp_path / "run", corpus, ALONE)
    before = [master.clone() for master in trainer.learner.optimizer.masters()]
    with torch.no_grad():
        trainer.learner.model.mean.fill_(float("nan"))
    report = trainer.learner.step(("tones-train-0",), recipe.stages[0], 0, 1e-3, 0.0, False)
    assert report.skipped
    for left, right in zip(before, trainer.learner.optimizer.masters(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)


def test_a_run_stops_loudly_when_steps_stay_non_finite(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    loop = recipe.loop.model_copy(update={"skip_limit": 3})
    trainer = Trainer(recipe.model_copy(update={"loop": loop}), tmp_path / "run", corpus, ALONE)
    with torch.no_grad():
        trainer.learner.model.mean.fill_(float("nan"))
    with pytest.raises(ModelError, match="3 steps in a row"):
        trainer.run()


def test_figures_are_tracked_and_a_resumed_run_stays_one_run(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    loop = recipe.loop.model_copy(update={"tracking": True, "log_steps": 1})
    tracked, folder = recipe.model_copy(update={"loop": loop}), tmp_path / "run"
    for steps in (2, 4):
        schedule = recipe.schedule.model_copy(update={"budget_steps": steps})
        Trainer(tracked.model_copy(update={"schedule": schedule}), folder, corpus, ALONE).run()
    with closing(sqlite3.connect(folder / "mlflow.sqlite")) as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)
        steps_seen = {step for (step,) in database.execute("select step from metrics where key = 'loss'")}
    assert steps_seen == {1, 2, 3, 4}
    assert len((folder / "evaluations.jsonl").read_text().splitlines()) == 2


def test_a_skipped_step_counts_but_not_its_audio() -> None:
    before = Progress(step=10, smoothed_loss=2.0, hours_seen=1.0)
    bad = StepReport(float("nan"), 60.0, 5.0, float("nan"), skipped=True, stop=False)
    after = progress_after(before, bad)
    assert (after.step, after.hours_seen, after.smoothed_loss, after.skipped_in_a_row) == (11, 1.0, 2.0, 1)
    good = replace(bad, loss_per_character=1.0, skipped=False)
    assert progress_after(after, good).skipped_in_a_row == 0


def test_the_loss_falls(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    schedule = recipe.schedule.model_copy(update={"budget_steps": 40})
    trainer = Trainer(recipe.model_copy(update={"schedule": schedule}), tmp_path / "run", corpus, ALONE)
    first = trainer.learner.step(("tones-train-0",), recipe.stages[0], 0, 0.0, 0.0, False).loss_per_character
    trainer.run()
    assert trainer.progress.smoothed_loss < 0.5 * first


def test_a_run_may_start_from_a_parents_weights_and_learn_phones_too(
    recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    Trainer(recipe, tmp_path / "parent", corpus, ALONE).run()
    parent = sorted((tmp_path / "parent/checkpoints").glob("step-*.pt"))[-1]
    two_heads = recipe.model.model_copy(update={"phones": len(Tokens.phones())})
    child = recipe.model_copy(update={"parent": parent, "model": two_heads})
    trainer = Trainer(child, tmp_path / "child", corpus, ALONE)
    weights = load_checkpoint(parent)["model"]
    names = [name for name, _ in trainer.learner.model.named_parameters()]
    masters = dict(zip(names, trainer.learner.optimizer.masters(), strict=True))
    assert names != list(weights)
    assert all(torch.equal(masters[name], weights[name]) for name in names if name in weights)
    before = masters["phone_head.weight"].clone()
    trainer.run()
    assert not torch.equal(trainer.learner.optimizer.masters()[names.index("phone_head.weight")], before)
    checkpoint = sorted((tmp_path / "child/checkpoints").glob("step-*.pt"))[-1]
    assert hours_seen_of(checkpoint) > hours_seen_of(parent) > 0


TWO_PEERS = """
import sys, torch
from pathlib import Path
from voxloop_training.peers import join_peers
from voxloop_training.optimizer import MasterOptimizer, OptimizerConfig
from voxloop_training.model import ConformerConfig, ConformerCtc

with join_peers(1) as peers:
    torch.manual_seed(0)
    config = ConformerConfig(width=32, heads=2, inner_width=48, blocks=2, subsampling_channels=8)
    model = ConformerCtc(config)
    optimizer = MasterOptimizer(model, OptimizerConfig(precision="fp32"), peers)
    features = torch.randn(4, 67, 80)
    for _ in range(2):
        mine = features[peers.rank :: peers.count]
        model(mine, 8)[0][..., 0].sum().backward()
        optimizer.step(peers.sum(optimizer.take_gradient()), 1e-3)
    if peers.leads:
        torch.save(optimizer.masters(), sys.argv[1])
"""


def test_two_processes_learn_what_one_would(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO_PEERS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    alone = [sys.executable, str(script), str(tmp_path / "1.pt")]
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(alone, check=True, env=environment, timeout=120)
    subprocess.run([*together, str(script), str(tmp_path / "2.pt")], check=True, env=environment, timeout=120)
    for left, right in zip(torch.load(tmp_path / "1.pt"), torch.load(tmp_path / "2.pt"), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=2e-5)


def test_phones_are_told_from_their_rivals(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    stages = (recipe.stages[0], recipe.stages[1].model_copy(update={"competition_weight": 0.8}))
    phones = recipe.model.model_copy(update={"phones": len(Tokens.phones())})
    rivals = recipe.model_copy(update={"stages": stages, "model": phones})
    trainer = Trainer(rivals, tmp_path / "run", corpus, ALONE, clock_s=Ticks())
    untold = rivals.stages[1].model_copy(update={"competition_weight": 0.0})
    gradients = [gradient_of(trainer, stage) for stage in (rivals.stages[1], untold)]
    assert trainer.run()
    assert trainer.progress.skipped == 0
    assert float((gradients[0] - gradients[1]).norm()) > 0.01 * float(gradients[1].norm())


def gradient_of(trainer: Trainer, stage: StageConfig) -> torch.Tensor:
    trainer.learner._backward(("tones-train-0", "tones-train-1"), stage, step=0)
    return trainer.learner.optimizer.take_gradient().float()
