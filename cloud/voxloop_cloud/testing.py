"""What tests of the server share: a real bundle that is made in a moment, and sound for it to hear.

Needs the `onnx` package (extra `training`), which the server itself does not.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from voxloop_cloud.bundle import (
    AUDIT_FILE,
    BLANK,
    CONFIG_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    TOKENS_FILE,
    Bundle,
    load_bundle,
    write_checksums,
)
from voxloop_cloud.decoder import SPACE
from voxloop_cloud.tiny_model import CHANNEL_FRAMES, LAYERS, TIME_FRAMES, WIDTH, draw_weights, write_tiny_model
from voxloop_proto.audio import Pcm, ms_to_samples

CHARACTER_TOKENS = (SPACE, *"abcdefghijklmnopqrstuvwxyz'", BLANK)

_BUNDLE_TOML = """\
format = 1
name = "{name}"
version = "{version}"
language = "en"
tokens = "characters"

[features]
kind = "{features}"
sample_rate_hz = 16000
mel_bins = 80
low_hz = {low_hz}
high_hz = {high_hz}
frame_length_ms = 25
frame_shift_ms = 10
window = "{window}"
preemphasis = 0.97
snip_edges = false

[chunk]
window_frames = {window_frames}
shift_frames = {shift_frames}
subsampling_factor = {subsampling_factor}
look_ahead_ms = {look_ahead_ms}

[padding]
before_ms = 300
after_ms = 300

[normalization]
target_dbfs = -23.0

[model]
parameters = {parameters}
quantization = "none"

[provenance]
code_commit = ""
data_manifest_sha256 = ""
hours_seen = 0.0
seed = {seed}
machine = "none: random weights"
created = "2026-01-01T00:00:00Z"
parent = ""

[credits]
tiny = "random numbers"
"""


def tiny_bundle(
    path: Path,
    seed: int = 0,
    *,
    name: str = "voxloop-tiny",
    version: str = "0.0.1",
    features: Literal["kaldi-fbank", "nemo-fbank"] = "kaldi-fbank",
    window_frames: int = 35,
    shift_frames: int = 32,
    subsampling_factor: int = 2,
) -> Bundle:
    """Makes a whole, valid bundle with random weights in a new or empty folder, and loads it.

    Its text is gibberish, but depends on all that came before through every one of the caches, and on nothing else: a
    state that is lost, mixed up or not respected changes it. Silence gives no text.

    features: nemo-fbank makes it give the same text in sherpa-onnx (see FeatureConfig).
    """
    path.mkdir(parents=True, exist_ok=True)
    weights = draw_weights(seed, window_frames - shift_frames, subsampling_factor, len(CHARACTER_TOKENS))
    metadata = {
        "window_size": window_frames,
        "chunk_shift": shift_frames,
        "subsampling_factor": subsampling_factor,
        "vocab_size": len(CHARACTER_TOKENS) - 1,
        **{f"cache_last_channel_dim{i}": size for i, size in enumerate((LAYERS, CHANNEL_FRAMES, WIDTH), start=1)},
        **{f"cache_last_time_dim{i}": size for i, size in enumerate((LAYERS, WIDTH, TIME_FRAMES), start=1)},
    }
    write_tiny_model(path / MODEL_FILE, weights, metadata, window_frames - shift_frames, subsampling_factor)
    lines = [f"{token} {index}\n" for index, token in enumerate(CHARACTER_TOKENS)]
    (path / TOKENS_FILE).write_text("".join(lines), encoding="utf-8")
    toml = _BUNDLE_TOML.format(
        name=name,
        version=version,
        features=features,
        low_hz=20 if features == "kaldi-fbank" else 0,
        high_hz=7600 if features == "kaldi-fbank" else 8000,
        window="povey" if features == "kaldi-fbank" else "hann",
        window_frames=window_frames,
        shift_frames=shift_frames,
        subsampling_factor=subsampling_factor,
        look_ahead_ms=window_frames * 10 + 5,
        parameters=sum(weight.size for weight in weights.values()),
        seed=seed,
    )
    (path / CONFIG_FILE).write_text(toml, encoding="utf-8")
    (path / REFERENCE_FILE).write_text("{}\n", encoding="utf-8")
    (path / AUDIT_FILE).write_text("{}\n", encoding="utf-8")
    write_checksums(path)
    return load_bundle(path)


def babble(duration_ms: float, seed: int = 0) -> Pcm:
    """Sound with the pace of speech: bursts of coloured noise and tones of 60 to 200 ms, with pauses between some."""
    random = np.random.default_rng(seed)
    out = np.zeros(ms_to_samples(duration_ms), np.float32)
    start = 0
    while start < out.size:
        length = int(random.integers(960, 3200))
        seconds = np.arange(length) / 16_000
        tone = sum(np.sin(2 * np.pi * hz * seconds) for hz in random.uniform(100, 5000, 4))
        burst = random.uniform(0.02, 0.2) * tone + random.uniform(0.0, 0.1) * random.standard_normal(length)
        kept = out[start : start + length]
        kept[:] = burst[: kept.size] * (start == 0 or random.random() > 0.2)
        start += length
    return np.clip(out, -1.0, 1.0)
