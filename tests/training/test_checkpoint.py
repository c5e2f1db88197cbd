from pathlib import Path

import pytest
import torch

from voxloop_proto.errors import DataError
from voxloop_training.checkpoint import CheckpointStore, load_checkpoint


def test_only_the_last_checkpoints_and_the_best_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    store.save_best({"step": 1})
    for step in range(5):
        store.save(step, {"step": step})
    assert [path.name for path in store.list()] == ["step-00000003.pt", "step-00000004.pt"]
    assert load_checkpoint(tmp_path / "best.pt") == {"step": 1}


def test_a_kill_while_writing_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(tmp_path, keep=3)
    store.save(1, {"step": 1})

    def broken(_state: object, sink: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(KeyboardInterrupt):
        store.save(2, {"step": 2})
    monkeypatch.undo()
    assert store.load_last() == {"step": 1}


def test_a_missing_checkpoint_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
