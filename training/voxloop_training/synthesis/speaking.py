"""From a recipe to clips and manifests."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, level_dbfs
from voxloop_training.synthesis.engines import Manner, speak
from voxloop_training.synthesis.recipe import Kind, SynthesisRecipe, VoiceShare
from voxloop_training.synthesis.texts import sentences
from voxloop_training.synthesis.voices import VOICES, Voice

BATCH_TEXTS: Final = 25
"""Said in one manner, by one run of an engine."""
_EDGE_S: Final = 0.12
"""Silence around each clip; training adds more."""
_LEVEL_DBFS: Final = -23.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that one voice says in one manner."""

    index: int
    share: VoiceShare
    texts: tuple[str, ...]
    manner: Manner

    @property
    def voice(self) -> Voice:
        return VOICES[self.share.voice]


def batches(recipe: SynthesisRecipe, text_folder: Path, share: VoiceShare) -> Iterator[Batch]:
    """Endless batches of a voice; which texts come first depends on the seed and the voice only."""
    chance = random.Random(f"{recipe.seed}/{share.voice}")
    held_out = share.split != "train"
    kinds: Mapping[Kind, float] = {"queries": 1.0} if held_out else recipe.texts
    seeds = {kind: chance.randrange(2**32) for kind in kinds}
    sources = {kind: sentences(text_folder, kind, held_out, seeds[kind]) for kind in kinds}
    index = 0
    while True:
        chosen = chance.choices(list(kinds), list(kinds.values()), k=BATCH_TEXTS)
        manner = Manner(chance.uniform(*recipe.pace_ratio), chance.uniform(*recipe.size_ratio))
        yield Batch(index, share, tuple(next(sources[kind]) for kind in chosen), manner)
        index += 1


def synthesize(
    recipe: SynthesisRecipe, text_folder: Path, out: Path, threads: int, advance: Callable[[float], None]
) -> dict[str, int]:
    """Writes clips and `SPLIT.jsonl` into `out`; returns clips by split. advance: told the seconds of each clip.

    A batch whose list of clips is there from an earlier run is not spoken again.
    """
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(threads) as pool:
        spoken = list(pool.map(lambda share: _say_all(recipe, text_folder, out, share, advance), recipe.voices))
    by_split: dict[str, list[str]] = {}
    for share, rows in zip(recipe.voices, spoken, strict=True):
        by_split.setdefault(share.split, []).extend(rows)
    for split, rows in by_split.items():
        (out / f"{split}.jsonl").write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return {split: len(rows) for split, rows in by_split.items()}


def _say_all(
    recipe: SynthesisRecipe, text_folder: Path, out: Path, share: VoiceShare, advance: Callable[[float], None]
) -> list[str]:
    """The manifest rows of a voice, as lines."""
    rows: list[str] = []
    seconds = 0.0
    for batch in batches(recipe, text_folder, share):
        for row in _say(batch, out):
            rows.append(json.dumps(row))
            seconds += float(str(row["duration_s"]))
            advance(float(str(row["duration_s"])))
            if seconds >= 60 * share.minutes:
                return rows
    return rows


def _say(batch: Batch, out: Path) -> list[dict[str, object]]:
    name = f"{batch.voice.engine}-{batch.voice.name}-{batch.index:04d}".replace("+", "-")
    listed = out / batch.share.split / f"{name}.json"
    if not listed.is_file():
        listed.parent.mkdir(exist_ok=True)
        spoken = speak(batch.voice, batch.texts, batch.manner)
        rows = [
            _write(batch, f"{name}-{place:02d}", text, pcm, out)
            for place, (text, pcm) in enumerate(zip(batch.texts, spoken, strict=True))
        ]
        listed.write_text(json.dumps(rows), encoding="utf-8")
    found: list[dict[str, object]] = json.loads(listed.read_text(encoding="utf-8"))
    return found


def _write(batch: Batch, name: str, text: str, pcm: Pcm, out: Path) -> dict[str, object]:
    edge = np.zeros(round(_EDGE_S * SAMPLE_RATE_HZ), np.float32)
    level = np.float32(10 ** ((_LEVEL_DBFS - level_dbfs(pcm)) / 20))
    clip = np.clip(np.concatenate((edge, pcm * level, edge)), -0.99, 0.99)
    audio = out / batch.share.split / f"{name}.flac"
    soundfile.write(audio, clip, SAMPLE_RATE_HZ, subtype="PCM_16")
    return {
        "id": f"synthetic-{name}",
        "audio": f"{out.name}/{batch.share.split}/{audio.name}",
        "duration_s": round(len(clip) / SAMPLE_RATE_HZ, 4),
        "speaker": f"synthetic-{batch.voice.person}",
        "text": text,
        "set": "synthetic",
        "split": batch.share.split,
        "voice": f"{batch.voice.engine}/{batch.voice.name}",
    }
