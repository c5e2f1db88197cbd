"""What a run needs to go on after it was killed."""

import os
from pathlib import Path
from typing import Any, Final

import torch

from voxloop_proto.errors import DataError

_PATTERN: Final = "step-*.pt"
BEST: Final = "best.pt"


class CheckpointStore:
    """Checkpoints of one run. A file that is there is whole: it was written elsewhere, synced, then renamed."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint and drop those older than the last `keep`."""
        path = self._folder / f"step-{step:08d}.pt"
        write_atomically(path, state)
        for old in self.list()[: -self._keep]:
            old.unlink()
        return path

    def save_best(self, state: dict[str, Any]) -> None:
        write_atomically(self._folder / BEST, state)

    def list(self) -> list[Path]:
        """Checkpoints, oldest first, the best one not among them."""
        return sorted(self._folder.glob(_PATTERN))

    def load_last(self) -> dict[str, Any] | None:
        """The newest checkpoint's state, or None where there is none."""
        paths = self.list()
        return load_checkpoint(paths[-1]) if paths else None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Raises DataError where there is no checkpoint."""
    if not path.is_file():
        raise DataError(f"no checkpoint at {path}")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def write_atomically(path: Path, state: dict[str, Any]) -> None:
    """After this returns, `path` holds the whole state also when the power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as sink:
        torch.save(state, sink)
        sink.flush()
        os.fsync(sink.fileno())
    partial.replace(path)
