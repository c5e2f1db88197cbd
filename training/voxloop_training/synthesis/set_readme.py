"""The README of a set of synthetic speech: who speaks, under which licence, and the manifests' checksums."""

from collections.abc import Mapping
from dataclasses import dataclass

from voxloop_training.manifest import Row
from voxloop_training.synthesis.recipe import SynthesisRecipe
from voxloop_training.synthesis.voices import VOICES


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a `SPLIT.jsonl` says. sha256: of the file, hexadecimal."""

    rows: tuple[Row, ...]
    sha256: str

    @property
    def hours(self) -> float:
        return sum(row.duration_s for row in self.rows) / 3600


def set_readme(recipe: SynthesisRecipe, manifests: Mapping[str, Manifest]) -> str:
    """Markdown; the same set has the same."""
    sums = [
        f"| {split}.jsonl | {len(manifest.rows)} | {manifest.hours:.2f} | `{manifest.sha256}` |"
        for split, manifest in manifests.items()
    ]
    voices = [
        f"| {share.voice} | {share.split} | {share.minutes:g} | {VOICES[share.voice].licence} |"
        for share in recipe.voices
    ]
    return (
        f"# Synthetic speech, seed {recipe.seed}\n\nMade by `voxloop synthesize`; each clip is an engine speaking.\n\n"
        "| manifest | clips | hours | SHA-256 |\n|---|---|---|---|\n" + "\n".join(sums) + "\n\n"
        "| voice | split | minutes | licence |\n|---|---|---|---|\n" + "\n".join(voices) + "\n"
    )
