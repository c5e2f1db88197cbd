"""The default bundle with noise on its weights: it still hears words, and often others than were said."""

import re
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from voxloop_cloud.bundle import CONFIG_FILE, MODEL_FILE, default_bundle_path, write_checksums


def degraded_bundle(folder: Path, name: str, noise: float, seed: int = 0) -> Path:
    """A bundle NAME@1 in a new folder. noise: standard deviation, by that of each matrix of weights."""
    shutil.copytree(default_bundle_path(), folder)
    model, rng = onnx.load(str(folder / MODEL_FILE)), np.random.default_rng(seed)
    for initializer in model.graph.initializer:
        weights = numpy_helper.to_array(initializer)
        if weights.ndim < 2 or weights.dtype not in (np.dtype("int8"), np.dtype("uint8")):
            continue
        values = weights.astype(np.float64)
        noisy = np.rint(values + rng.normal(0.0, noise * values.std(), values.shape))
        limits = np.iinfo(weights.dtype)
        kept = np.clip(noisy, limits.min, limits.max).astype(weights.dtype)
        initializer.CopyFrom(numpy_helper.from_array(kept, initializer.name))
    onnx.save(model, str(folder / MODEL_FILE))
    config = folder / CONFIG_FILE
    text = re.sub(r'^name = ".*"$', f'name = "{name}"', config.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    config.write_text(re.sub(r'^version = ".*"$', 'version = "1"', text, count=1, flags=re.MULTILINE), encoding="utf-8")
    write_checksums(folder)
    return folder
