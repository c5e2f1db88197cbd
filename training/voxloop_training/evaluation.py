"""How well a bundle reads labelled clips: error rates per set and per slice."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_proto.audio import PCM16_FULL_SCALE
from voxloop_proto.scoring import score
from voxloop_training.audio_cache import read_pcm
from voxloop_training.manifest import Row, read_rows

_DURATION_EDGES_S: Final = (2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Heard:
    """A clip and what the recogniser made of it."""

    row: Row
    text: str
    confidence: float


def read_clips(recognizer: Recognizer, rows: Sequence[Row], root: Path, threads: int = 2) -> list[Heard]:
    """Transcribe clips exactly as the server does, several at a time."""

    def read(row: Row) -> Heard:
        decoded = transcribe(recognizer, read_pcm(root / row.audio).astype(np.float32) / np.float32(PCM16_FULL_SCALE))
        return Heard(row, decoded.text, decoded.confidence)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(read, rows))


def evaluate_manifests(recognizer: Recognizer, manifests: Sequence[Path], threads: int = 2) -> dict[str, Any]:
    """Scores of each manifest as `SET/SPLIT`, each with its slices; clips that nobody transcribed are left out."""
    return {
        f"{manifest.parent.name}/{manifest.stem}": summarize(
            read_clips(recognizer, labelled(read_rows(manifest)), manifest.parent.parent, threads)
        )
        for manifest in manifests
    }


def labelled(rows: Sequence[Row]) -> list[Row]:
    """Rows whose text is known: spoken ones with a text, and noise, in which nothing is said."""
    return [row for row in rows if row.text or row.split == "noise"]


def summarize(heard: Sequence[Heard]) -> dict[str, Any]:
    """The score of all clips, and under `slices` that of each slice."""
    slices: dict[str, list[Heard]] = defaultdict(list)
    for item in heard:
        for name in slices_of(item.row):
            slices[name].append(item)
    return {**_score(heard), "slices": {name: _score(slices[name]) for name in sorted(slices)}}


def slices_of(row: Row) -> Iterator[str]:
    """Names of the slices that a clip belongs to: its length, and each tag (numbers by their whole part)."""
    edge_s = next((edge_s for edge_s in _DURATION_EDGES_S if row.duration_s <= edge_s), None)
    yield f"duration<={edge_s:g}s" if edge_s else f"duration>{_DURATION_EDGES_S[-1]:g}s"
    for tag, value in row.tags.items():
        yield f"{tag}={int(value) if isinstance(value, float) else value}"


def _score(heard: Sequence[Heard]) -> dict[str, Any]:
    errors = score([item.row.text for item in heard], [item.text for item in heard])
    ratios = {
        "wer": errors.wer,
        "cer": errors.cer,
        "clips_right_ratio": errors.clips_right_ratio,
        "null_ratio": sum(not item.text for item in heard) / max(1, len(heard)),
    }
    rounded = {key: None if ratio is None else round(ratio, 5) for key, ratio in ratios.items()}
    return {"clips": errors.clips, "words": errors.words, **rounded}
