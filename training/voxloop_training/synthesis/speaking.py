"""From a recipe to clips and manifests."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np
import soundfile

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, level_dbfs
from voxloop_training.manifest import Row
from voxloop_training.synthesis.engines import Manner, speak
from voxloop_training.synthesis.recipe import Kind, SynthesisRecipe, VoiceShare
from voxloop_training.synthesis.set_readme import Manifest, set_readme
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

    @property
    def name(self) -> str:
        return f"{self.voice.engine}-{self.voice.name}-{self.index:04d}".replace("+", "-")


def batches(recipe: SynthesisRecipe, text_folder: Path, share: VoiceShare) -> Iterator[Batch]:
    """Endless batches of a voice; which texts come first depends on the seed and the voice only.

    Voices of dev and test share no query: each has its own part of those held out.
    """
    chance = random.Random(f"{recipe.seed}/{share.voice}")
    measured = [other.voice for other in recipe.voices if other.split != "train"]
    held_out = share.split != "train"
    part, parts = (measured.index(share.voice), len(measured)) if held_out else (0, 1)
    kinds: Mapping[Kind, float] = {"queries": 1.0} if held_out else recipe.texts
    seeds = {kind: chance.randrange(2**32) for kind in kinds}
    sources = {kind: sentences(text_folder, kind, held_out, seeds[kind], part, parts) for kind in kinds}
    index = 0
    while True:
        chosen = chance.choices(list(kinds), list(kinds.values()), k=BATCH_TEXTS)
        manner = Manner(chance.uniform(*recipe.pace_ratio), chance.uniform(*recipe.size_ratio))
        yield Batch(index, share, tuple(next(sources[kind]) for kind in chosen), manner)
        index += 1


def synthesize(
    recipe: SynthesisRecipe, text_folder: Path, out: Path, threads: int, advance: Callable[[float], None]
) -> dict[str, Manifest]:
    """Writes clips, `SPLIT.jsonl` and a README of the voices into `out`. advance: told the seconds of each clip.

    Batches that an earlier run with the same recipe and text has written are not spoken again.
    """
    out.mkdir(parents=True, exist_ok=True)
    stop = Event()

    def say_all(share: VoiceShare) -> list[Row]:
        return _say_all(batches(recipe, text_folder, share), out, advance, stop)

    with ThreadPoolExecutor(threads) as pool:
        try:
            spoken = list(pool.map(say_all, recipe.voices))
        finally:
            stop.set()
    by_split: dict[str, list[Row]] = {}
    for share, rows in zip(recipe.voices, spoken, strict=True):
        by_split.setdefault(share.split, []).extend(rows)
    manifests = {split: _write_manifest(out / f"{split}.jsonl", rows) for split, rows in by_split.items()}
    (out / "README.md").write_text(set_readme(recipe, manifests), encoding="utf-8")
    return manifests


def _say_all(planned: Iterator[Batch], out: Path, advance: Callable[[float], None], stop: Event) -> list[Row]:
    """The manifest rows of a voice; fewer, after the batch in hand, when it is stopped."""
    rows: list[Row] = []
    seconds = 0.0
    for batch in planned:
        if stop.is_set():
            return rows
        for row in _said_before(batch, out) or _say(batch, out):
            rows.append(row)
            seconds += row.duration_s
            advance(row.duration_s)
            if seconds >= 60 * batch.share.minutes:
                return rows
    return rows


def _said_before(batch: Batch, out: Path) -> list[Row]:
    """The rows of an earlier run, if it said the same texts in the same manner to the same place; else none."""
    listed = _list_of(batch, out)
    if not listed.is_file():
        return []
    found: dict[str, Any] = json.loads(listed.read_text(encoding="utf-8"))
    rows = [Row.model_validate(row) for row in found["rows"]]
    if found["manner"] != asdict(batch.manner) or len(rows) != len(batch.texts):
        return []
    return rows if rows == [_row(batch, place, row.duration_s, out) for place, row in enumerate(rows)] else []


def _say(batch: Batch, out: Path) -> list[Row]:
    """Writes the clips and, when all are there, their list."""
    listed = _list_of(batch, out)
    listed.parent.mkdir(exist_ok=True)
    spoken = speak(batch.voice, batch.texts, batch.manner)
    rows = [_write(batch, place, pcm, out) for place, pcm in enumerate(spoken)]
    partial = listed.with_suffix(".partial")
    partial.write_text(json.dumps({"manner": asdict(batch.manner), "rows": [row.model_dump() for row in rows]}))
    partial.replace(listed)
    return rows


def _list_of(batch: Batch, out: Path) -> Path:
    return out / batch.share.split / f"{batch.name}.batch.json"


def _write(batch: Batch, place: int, pcm: Pcm, out: Path) -> Row:
    edge = np.zeros(round(_EDGE_S * SAMPLE_RATE_HZ), np.float32)
    level = np.float32(10 ** ((_LEVEL_DBFS - level_dbfs(pcm)) / 20))
    clip = np.clip(np.concatenate((edge, pcm * level, edge)), -0.99, 0.99)
    row = _row(batch, place, round(len(clip) / SAMPLE_RATE_HZ, 4), out)
    soundfile.write(out.parent / row.audio, clip, SAMPLE_RATE_HZ, subtype="PCM_16")
    return row


def _row(batch: Batch, place: int, duration_s: float, out: Path) -> Row:
    split = batch.share.split
    tags = {"voice": batch.share.voice}
    return Row(
        id=f"synthetic-{batch.name}-{place:02d}",
        audio=f"{out.name}/{split}/{batch.name}-{place:02d}.flac",
        duration_s=duration_s,
        speaker=f"synthetic-{batch.voice.person}",
        text=batch.texts[place],
        set="synthetic",
        split=split,
        **tags,
    )


def _write_manifest(path: Path, rows: Sequence[Row]) -> Manifest:
    lines = "".join(json.dumps(row.model_dump()) + "\n" for row in rows).encode()
    path.write_bytes(lines)
    return Manifest(tuple(rows), hashlib.sha256(lines).hexdigest())
