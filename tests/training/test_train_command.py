import signal
from pathlib import Path

import pytest
import tomli_w
import typer

from voxloop_proto.errors import ConfigError
from voxloop_training.audio_cache import AudioCache
from voxloop_training.checkpoint import CheckpointStore
from voxloop_training.commands.train import train
from voxloop_training.recipe import Recipe


@pytest.fixture
def recipe_file(recipe: Recipe, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOXLOOP_SHARED", str(corpus.parent))
    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)))
    return path


def test_ctrl_c_saves_a_checkpoint_and_exits_with_130(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = AudioCache.load

    def interrupted(cache: AudioCache, cut_id: str) -> object:
        signal.raise_signal(signal.SIGINT)
        return load(cache, cut_id)

    monkeypatch.setattr(AudioCache, "load", interrupted)
    with pytest.raises(typer.Exit) as stopped:
        train(recipe_file, tmp_path / "run")
    assert stopped.value.exit_code == 130
    assert len(CheckpointStore(tmp_path / "run/checkpoints", 5).list()) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_command_line_overrules_the_recipes_budget(recipe_file: Path, tmp_path: Path) -> None:
    train(recipe_file, tmp_path / "run", max_steps=2)
    assert CheckpointStore(tmp_path / "run/checkpoints", 5).list()[-1].name == "step-00000002.pt"


def test_a_run_is_never_overwritten(recipe_file: Path, tmp_path: Path) -> None:
    train(recipe_file, tmp_path / "run", max_steps=1)
    with pytest.raises(ConfigError, match="holds a run"):
        train(recipe_file, tmp_path / "run", resume=False)
