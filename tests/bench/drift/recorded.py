"""Rows of all conditions, recognised once and kept in a folder: what the streams of the benchmark are drawn from."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tests.bench.drift.crowd import Device
from tests.bench.drift.injection import Injection
from tests.bench.drift.real_path import Row, recognise_session

from voxloop_cloud.recognizer import Recognizer
from voxloop_edge.source import FileSource
from voxloop_proto.audio import Pcm

Say = Callable[[str], None]


def recorded(
    cache: Path,
    noise_file: Path,
    devices: Sequence[Device],
    conditions: Sequence[Injection],
    open_model: Callable[[], Recognizer],
    say: Say,
) -> dict[str, list[Row]]:
    """The rows of each condition; what the cache lacks goes through the real path now, which takes minutes."""
    missing = [each for each in conditions if not _file(cache, each).is_file()]
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        recognizer = open_model()
        noise: Pcm = np.concatenate([chunk.pcm for chunk in FileSource(noise_file).chunks()])
        for number, condition in enumerate(missing, start=1):
            start_s = time.monotonic()
            rows = [row for device in devices for row in recognise_session(device, condition, noise, recognizer)]
            partial = _file(cache, condition).with_suffix(".part")
            partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            partial.rename(_file(cache, condition))
            took_s = time.monotonic() - start_s
            say(f"recognised {condition.name}, {number} of {len(missing)}: {len(rows)} utterances, {took_s:.0f} s")
    return {each.name: _read(_file(cache, each)) for each in conditions}


def _file(cache: Path, condition: Injection) -> Path:
    return cache / f"{condition.name}.jsonl"


def _read(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
