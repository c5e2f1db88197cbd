"""Where the recordings are, and which of them a model may learn from."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment

from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import DataError
from voxloop_training.manifest import Row, read_rows

DEV_SPEAKERS: Final = frozenset({"librispeech-train-clean-5-2136", "librispeech-train-clean-5-5789"})
"""Two readers of librispeech-train-clean-5 that no model is trained on: they are its dev set."""
NOISE_SET: Final = "esc10-noise"
NOISE_TRAIN_RATIO: Final = 0.7


def data_root() -> Path:
    """The folder of the sets: VOXLOOP_SHARED/data, by default ../shared/data of the working directory."""
    root = Path(os.environ.get("VOXLOOP_SHARED", "../shared")) / "data"
    if not root.is_dir():
        raise DataError(f"no recordings in {root}; point VOXLOOP_SHARED at the folder that holds data/")
    return root.resolve()


def training_cuts(manifest: Path) -> CutSet:
    """Cuts of a `train` manifest, without the held-out speakers. Raises DataError for any other split."""
    rows = read_rows(manifest)
    _require_split(rows, manifest, "train")
    return to_cuts([row for row in rows if row.speaker not in DEV_SPEAKERS], manifest.parent.parent)


def noise_cuts(manifest: Path) -> CutSet:
    """The share of the noise clips that training may use; the rest stays unseen, to test for words in noise."""
    rows = read_rows(manifest)
    _require_split(rows, manifest, "noise")
    return to_cuts([row for row in rows if is_training_noise(row)], manifest.parent.parent)


def join_training_cuts(root: Path, manifests: Sequence[str], noise: str | None) -> CutSet:
    """Everything that a recipe trains on, noise clips included."""
    parts = [training_cuts(root / manifest) for manifest in manifests]
    parts += [noise_cuts(root / noise)] if noise else []
    return CutSet.from_cuts(cut for part in parts for cut in part)


def dev_cuts(manifest: Path) -> CutSet:
    """Cuts to choose by: a `dev` manifest, or the held-out speakers of a `train` manifest."""
    rows = read_rows(manifest)
    held_out = [row for row in rows if row.split == "dev" or row.speaker in DEV_SPEAKERS]
    if not held_out:
        raise DataError(f"{manifest} has neither dev rows nor held-out speakers")
    return to_cuts(held_out, manifest.parent.parent)


def is_training_noise(row: Row) -> bool:
    """Decides by a hash of the id, so that the choice stays when clips are added."""
    digest = hashlib.sha256(row.id.encode()).digest()
    return row.set == NOISE_SET and digest[0] < NOISE_TRAIN_RATIO * 256


def to_cuts(rows: Iterable[Row], root: Path) -> CutSet:
    """lhotse cuts with one supervision each; tags go to `custom`."""
    return CutSet.from_cuts(_to_cut(row, root) for row in rows)


def _to_cut(row: Row, root: Path) -> MonoCut:
    samples = round(row.duration_s * SAMPLE_RATE_HZ)
    duration_s = samples / SAMPLE_RATE_HZ
    source = AudioSource("file", channels=[0], source=str(root / row.audio))
    recording = Recording(row.id, [source], SAMPLE_RATE_HZ, samples, duration_s)
    custom = {"set": row.set, "split": row.split, **row.tags}
    supervision = SupervisionSegment(row.id, row.id, 0.0, duration_s, text=row.text, speaker=row.speaker, custom=custom)
    return MonoCut(row.id, 0.0, duration_s, 0, supervisions=[supervision], recording=recording)


def _require_split(rows: Iterable[Row], manifest: Path, split: str) -> None:
    found = sorted({row.split for row in rows} - {split})
    if found:
        raise DataError(f"{manifest} has rows of split {found}; training takes only {split!r}")
