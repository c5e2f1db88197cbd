"""`voxloop export`: make a bundle from a training run."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
import typer

from voxloop_cloud.bundle import MODEL_FILE, load_bundle
from voxloop_cloud.checksums import CHECKSUM_FILE
from voxloop_cloud.recognizer import Recognizer
from voxloop_proto.errors import ConfigError, DataError, ModelError
from voxloop_training.audio_cache import open_cache
from voxloop_training.corpus import data_root, join_training_cuts
from voxloop_training.export.audit import audit_of
from voxloop_training.export.bundle_folder import bundle_config, provenance_of, write_bundle
from voxloop_training.export.bundle_scores import score_bundle
from voxloop_training.export.onnx_file import write_int8, write_onnx
from voxloop_training.export.parity import ParityConfig, largest_differences
from voxloop_training.export.reference import reference_statistics
from voxloop_training.export.static_int8 import calibration_clips, fix_scales
from voxloop_training.model import ConformerCtc
from voxloop_training.recipe import Recipe
from voxloop_training.weights import hours_seen_of, load_model, recipe_of

log = structlog.get_logger("export")


def export(
    run_dir: Annotated[Path, typer.Argument(help="folder that `voxloop train` filled")],
    out_dir: Annotated[Path, typer.Argument(help="folder of the bundle; an older bundle in it is replaced as a whole")],
    name: Annotated[str, typer.Option(help="name of the bundle")] = "voxloop-en-small",
    version: Annotated[str, typer.Option(help="version of the bundle")] = "0.1.0",
    parent: Annotated[str, typer.Option(help="name and version of the bundle that this one replaces")] = "",
    average: Annotated[int, typer.Option(min=1, help="how many of the last checkpoints to average")] = 1,
    test: Annotated[list[Path] | None, typer.Option(help="manifest that the audit reports on; may be repeated")] = None,
    graph: Annotated[
        Path | None, typer.Option(help="folder that `voxloop graph` filled: export the phone head, decoded through it")
    ] = None,
    precision: Annotated[Literal["int8", "fp32"], typer.Option(help="of the weights in the bundle")] = "int8",
    chunk_frames: Annotated[
        int | None, typer.Option(min=1, max=64, help="frames of 40 ms that a step hears; default: the recipe's")
    ] = None,
    force: Annotated[bool, typer.Option(help="write the bundle even when a gate does not hold")] = False,
) -> None:
    """Write ONNX in float32 and int8, prove that they agree, and write the bundle with its audit.

    Once the learning rate has come down, the last checkpoint is the best; of a run that was broken off, average 2 to 4.
    """
    if out_dir.exists() and any(out_dir.iterdir()) and not (out_dir / CHECKSUM_FILE).is_file():
        raise ConfigError(f"{out_dir} holds something else than a bundle; give a new or an empty folder")
    checkpoints = sorted((run_dir / "checkpoints").glob("step-*.pt"))[-average:]
    if not checkpoints:
        raise DataError(f"{run_dir} has no checkpoints; train first")
    model, recipe = load_model(checkpoints), _with_chunk(recipe_of(checkpoints[-1]), chunk_frames)
    if graph and model.phone_head is None:
        raise ConfigError(f"{run_dir} trained no phones (model.phones is 0 in its recipe), so --graph has no use there")
    model.writes_phones = graph is not None
    hours = hours_seen_of(checkpoints[-1])
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent) as scratch:
        full, int8 = Path(scratch, "fp32"), Path(scratch, "int8")
        audit = _write(model, recipe, full, int8, (name, version, parent), hours, test or [], graph)
        if audit["passed"] or force:
            _replace(out_dir, int8 if precision == "int8" else full, Path(scratch, "old"))
    for gate, holds in audit["gates"].items():
        log.info("gate", name=gate, holds=holds)
    log.info("exported", bundle=str(out_dir), parity=audit["parity"])
    if not audit["passed"] and not force:
        raise ModelError(f"the bundle does not pass its audit: {audit['gates']}; --force writes it all the same")


def _write(
    model: ConformerCtc,
    recipe: Recipe,
    full: Path,
    int8: Path,
    label: tuple[str, str, str],
    hours_seen: float,
    tests: list[Path],
    graph: Path | None,
) -> dict[str, Any]:
    """Two bundles, `full` in float32 for comparison and `int8`; returns the audit."""
    root, chunk = data_root(), recipe.loop.dev_chunk_frames
    name, version, parent = label
    manifests = [root / manifest for manifest in recipe.data.train]
    provenance = provenance_of(recipe, manifests, hours_seen, parent)
    cuts = join_training_cuts(root, recipe.data.train, recipe.data.noise)
    reference = reference_statistics(cuts, open_cache(cuts, recipe.data.cache))
    for folder in (full, int8):
        folder.mkdir()
    write_onnx(model, chunk, full / MODEL_FILE)
    write_int8(full / MODEL_FILE, int8 / MODEL_FILE)
    parameters = sum(weight.numel() for weight in model.parameters())
    tokens: Literal["characters", "phones"] = "phones" if graph else "characters"
    configs = {
        folder: bundle_config(recipe, name, version, parameters, kind, provenance, tokens)
        for folder, kind in ((full, "none"), (int8, "int8-static"))
    }
    windows = configs[int8].chunk
    assert windows is not None, "an exported model streams"
    clips = calibration_clips(manifests, configs[int8].normalization.target_dbfs)
    fix_scales(int8 / MODEL_FILE, configs[int8].features, windows, clips)
    for folder, config in configs.items():
        write_bundle(folder, config, reference, {}, graph)
    differences = largest_differences(model, full / MODEL_FILE, int8 / MODEL_FILE, chunk)
    dev = [root / manifest for manifest in recipe.data.dev if Path(manifest).stem == "dev"]
    exact = score_bundle(Recognizer(load_bundle(full)), dev)
    small = score_bundle(Recognizer(load_bundle(int8)), [*dev, *tests])
    audit = audit_of(ParityConfig(), differences, exact, small)
    for folder, config in configs.items():
        write_bundle(folder, config, reference, audit, graph)
    return audit


def _with_chunk(recipe: Recipe, chunk_frames: int | None) -> Recipe:
    """The recipe as if the model were served with that chunk; models are trained for several."""
    if chunk_frames is None:
        return recipe
    return recipe.model_copy(update={"loop": recipe.loop.model_copy(update={"dev_chunk_frames": chunk_frames})})


def _replace(out_dir: Path, fresh: Path, old: Path) -> None:
    """Put a bundle in place with two renames, so that nobody reads half of it."""
    if out_dir.exists():
        out_dir.rename(old)
    fresh.rename(out_dir)
