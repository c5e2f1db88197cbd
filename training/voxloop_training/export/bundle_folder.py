"""The files of a bundle around its model."""

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from voxloop_cloud.bundle import AUDIT_FILE, CONFIG_FILE, GRAPH_FILES, REFERENCE_FILE, TOKENS_FILE
from voxloop_cloud.bundle_config import BundleConfig, ChunkConfig, ModelConfig, NormalizationConfig, ProvenanceConfig
from voxloop_cloud.checksums import write_checksums
from voxloop_cloud.feature_config import FeatureConfig
from voxloop_cloud.spelling import SPELLING_FILE
from voxloop_proto.audio import PaddingPolicy
from voxloop_training.export.credits import CREDITS, TEXT_CREDITS
from voxloop_training.lexicon.lexicon import SPELLING_MODEL
from voxloop_training.model.subsampling import OVERLAP_FRAMES, SUBSAMPLING_FRAMES
from voxloop_training.recipe import Recipe
from voxloop_training.tokens import Tokens

_FRAME_EDGE_MS = 5.0
"""What the last feature frame of a chunk reaches beyond its own 10 ms, rounded up."""


def bundle_config(
    recipe: Recipe,
    name: str,
    version: str,
    parameters: int,
    quantization: str,
    provenance: ProvenanceConfig,
    tokens: Literal["characters", "phones"] = "characters",
) -> BundleConfig:
    """All that bundle.toml says, from the recipe that the model was trained with."""
    shift = recipe.loop.dev_chunk_frames * SUBSAMPLING_FRAMES
    sets = [Path(manifest).parent.name for manifest in (*recipe.data.train, recipe.data.noise or "")]
    graph_credits = TEXT_CREDITS if tokens == "phones" else {}
    return BundleConfig(
        format=1,
        name=name,
        version=version,
        language="en",
        tokens=tokens,
        features=FeatureConfig(mel_bins=recipe.model.mel_bins),
        chunk=ChunkConfig(
            window_frames=shift + OVERLAP_FRAMES,
            shift_frames=shift,
            subsampling_factor=SUBSAMPLING_FRAMES // recipe.model.outputs_per_frame,
            look_ahead_ms=10.0 * (shift + OVERLAP_FRAMES) + _FRAME_EDGE_MS,
        ),
        padding=PaddingPolicy(),
        normalization=NormalizationConfig(target_dbfs=recipe.augmentation.level.target_dbfs),
        model=ModelConfig(parameters=parameters, quantization=quantization),
        provenance=provenance,
        credits={name: CREDITS[name] for name in sets if name in CREDITS} | graph_credits,
    )


def write_bundle(
    folder: Path,
    config: BundleConfig,
    reference: dict[str, Any],
    audit: dict[str, Any],
    graph: Path | None = None,
) -> None:
    """Write everything but the model, then the checksums of everything. graph: folder that `voxloop graph` filled."""
    if graph:
        for name in GRAPH_FILES:
            shutil.copyfile(graph / name, folder / name)
        shutil.copyfile(SPELLING_MODEL, folder / SPELLING_FILE)
    tokens = Tokens.phones() if config.tokens == "phones" else Tokens.characters()
    tokens.write(folder / TOKENS_FILE)
    (folder / CONFIG_FILE).write_text(config.to_toml(), encoding="utf-8")
    (folder / REFERENCE_FILE).write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")
    (folder / AUDIT_FILE).write_text(json.dumps(audit, indent=1) + "\n", encoding="utf-8")
    write_checksums(folder)


def provenance_of(recipe: Recipe, manifests: Sequence[Path], hours_seen: float, parent: str) -> ProvenanceConfig:
    """Where a model comes from, as far as this machine can say."""
    return ProvenanceConfig(
        code_commit=_commit(),
        data_manifest_sha256=manifest_digest(manifests),
        hours_seen=round(hours_seen, 2),
        seed=recipe.loop.seed,
        machine=f"{platform.machine()}, CPU only",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parent=parent,
    )


def manifest_digest(manifests: Sequence[Path]) -> str:
    """SHA-256 over all training manifests, in the recipe's order."""
    digest = hashlib.sha256()
    for manifest in manifests:
        digest.update(manifest.read_bytes())
    return digest.hexdigest()


def _commit() -> str:
    """The commit of the working tree, empty outside of one."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip()
