"""A tiny made-up corpus, so that the training tests need no recordings; the real ones are used where they are there."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxloop_training.model import ConformerConfig, ConformerCtc
from voxloop_training.recipe import Recipe

WORDS = ("up", "down", "left", "right")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small_config() -> ConformerConfig:
    return ConformerConfig(
        mel_bins=80, width=32, heads=2, inner_width=48, blocks=2, kernel_frames=5, subsampling_channels=8,
        left_frames=12, middle_block=1,
    )  # fmt: skip


@pytest.fixture
def small_model(small_config: ConformerConfig) -> ConformerCtc:
    torch.manual_seed(7)
    model = ConformerCtc(small_config).eval()
    model.mean.fill_(-6.0)
    model.deviation.fill_(3.0)
    return model


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A data root with a train, a dev and a test manifest of tones, and noise."""
    root = tmp_path / "data"
    for split, count in (("train", 16), ("dev", 4), ("test", 2)):
        _write_set(root, "tones", split, count)
    _write_set(root, "esc10-noise", "noise", 8)
    return root


@pytest.fixture
def recipe(tmp_path: Path, small_config: ConformerConfig) -> Recipe:
    """Two stages on the made-up corpus; a few steps per second."""
    return Recipe.model_validate(
        {
            "data": {
                "train": ["tones/train.jsonl"],
                "dev": ["tones/dev.jsonl"],
                "noise": "esc10-noise/noise.jsonl",
                "cache": str(tmp_path / "cache"),
            },
            "model": small_config.model_dump(),
            "schedule": {"warmup_steps": 2, "budget_steps": 6},
            "stages": [{"batch_s": 3.0, "augmented": False, "steps": 3}, {"batch_s": 6.0}],
            "loop": {
                "save_minutes": 1e-9,
                "evaluate_minutes": 60,
                "keep_checkpoints": 20,
                "tracking": False,
            },
        }
    )


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The real recordings; tests that want them are skipped where they are not."""
    root = Path(os.environ.get("VOXLOOP_SHARED", "../shared")) / "data"
    if not root.is_dir():
        pytest.skip("no recordings; set VOXLOOP_SHARED")
    return root


def _write_set(root: Path, name: str, split: str, count: int) -> None:
    folder = root / name / split
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(split))
    rows = []
    for index in range(count):
        word = WORDS[index % len(WORDS)] if split != "noise" else ""
        seconds = 0.5 + 0.05 * index
        time_s = np.arange(round(16_000 * seconds)) / 16_000
        tone = 0.1 * np.sin(2 * np.pi * 300 * (1 + index % len(WORDS)) * time_s)
        soundfile.write(folder / f"{index}.wav", tone + 0.003 * rng.standard_normal(len(time_s)), 16_000)
        rows.append(
            {
                "id": f"{name}-{split}-{index}", "audio": f"{name}/{split}/{index}.wav", "duration_s": seconds,
                "speaker": f"{name}-{index % 3}", "text": word, "set": name, "split": split, "pitch": "low",
            }
        )  # fmt: skip
    (root / name / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
