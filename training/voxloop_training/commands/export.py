"""`voxloop export`: make a bundle from a training run."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from voxloop_cloud.bundle import MODEL_FILE, load_bundle
from voxloop_cloud.recognizer import Recognizer
from voxloop_proto.errors import DataError, ModelError
from voxloop_training.audio_cache import open_cache
from voxloop_training.checkpoint import load_checkpoint
from voxloop_training.corpus import data_root, join_training_cuts
from voxloop_training.evaluation import evaluate_manifests
from voxloop_training.export.audit import audit_of
from voxloop_training.export.bundle_folder import bundle_config, provenance_of, write_bundle
from voxloop_training.export.onnx_file import write_int8, write_onnx
from voxloop_training.export.parity import ParityConfig, largest_differences
from voxloop_training.export.reference import reference_statistics
from voxloop_training.model import ConformerCtc
from voxloop_training.recipe import Recipe
from voxloop_training.tokens import Tokens
from voxloop_training.weights import load_model, recipe_of

log = structlog.get_logger("export")


def export(
    run_dir: Annotated[Path, typer.Argument(help="folder that `voxloop train` filled")],
    out_dir: Annotated[Path, typer.Argument(help="folder of the bundle; files in it are replaced")],
    name: Annotated[str, typer.Option(help="name of the bundle")] = "voxloop-en-small",
    version: Annotated[str, typer.Option(help="version of the bundle")] = "0.1.0",
    parent: Annotated[str, typer.Option(help="name and version of the bundle that this one replaces")] = "",
    average: Annotated[int, typer.Option(min=1, help="how many of the last checkpoints to average")] = 4,
    test: Annotated[list[Path] | None, typer.Option(help="manifest that the audit reports on; may be repeated")] = None,
    force: Annotated[bool, typer.Option(help="write the bundle even when a gate does not hold")] = False,
) -> None:
    """Average the last checkpoints, write ONNX and int8, prove that they agree, and write the bundle with its audit."""
    checkpoints = sorted((run_dir / "checkpoints").glob("step-*.pt"))[-average:]
    if not checkpoints:
        raise DataError(f"{run_dir} has no checkpoints; train first")
    model, recipe = load_model(checkpoints), recipe_of(checkpoints[-1])
    hours = float(load_checkpoint(checkpoints[-1])["progress"]["hours_seen"])
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        audit = _write(model, recipe, Path(scratch), out_dir, (name, version, parent), hours, test or [])
    for gate, holds in audit["gates"].items():
        log.info("gate", name=gate, holds=holds)
    log.info("exported", bundle=str(out_dir), parity=audit["parity"])
    if not audit["passed"] and not force:
        raise ModelError(f"{out_dir} does not pass its audit: {audit['gates']}; see audit.json, or use --force")


def _write(
    model: ConformerCtc,
    recipe: Recipe,
    scratch: Path,
    out_dir: Path,
    label: tuple[str, str, str],
    hours_seen: float,
    tests: list[Path],
) -> dict[str, Any]:
    """Two bundles, float32 in `scratch` for comparison and int8 in `out_dir`; returns the audit."""
    root, chunk = data_root(), recipe.loop.dev_chunk_frames
    name, version, parent = label
    manifests = [root / manifest for manifest in recipe.data.train]
    provenance = provenance_of(recipe, manifests, hours_seen, parent)
    cuts = join_training_cuts(root, recipe.data.train, recipe.data.noise)
    reference = reference_statistics(cuts, open_cache(cuts, recipe.data.cache))
    write_onnx(model, chunk, scratch / MODEL_FILE)
    write_int8(scratch / MODEL_FILE, out_dir / MODEL_FILE)
    parameters = sum(weight.numel() for weight in model.parameters())
    for folder, kind in ((scratch, "none"), (out_dir, "int8-dynamic")):
        config = bundle_config(recipe, name, version, parameters, kind, provenance)
        write_bundle(folder, config, Tokens.characters(), reference, {})
    differences = largest_differences(model, scratch / MODEL_FILE, out_dir / MODEL_FILE, chunk)
    dev = [root / manifest for manifest in recipe.data.dev if Path(manifest).stem == "dev"]
    full = evaluate_manifests(Recognizer(load_bundle(scratch)), dev)
    small = evaluate_manifests(Recognizer(load_bundle(out_dir)), [*dev, *tests])
    audit = audit_of(ParityConfig(), differences, full, small)
    write_bundle(out_dir, config, Tokens.characters(), reference, audit)
    return audit
