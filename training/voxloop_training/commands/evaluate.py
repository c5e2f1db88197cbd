"""`voxloop evaluate`: error rates of a bundle or a checkpoint on labelled sets."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from voxloop_cloud.bundle import MODEL_FILE, load_bundle
from voxloop_cloud.bundle_config import ProvenanceConfig
from voxloop_cloud.recognizer import Recognizer
from voxloop_training.evaluation import evaluate_manifests
from voxloop_training.export.bundle_folder import bundle_config, write_bundle
from voxloop_training.export.onnx_file import write_onnx
from voxloop_training.weights import load_model, recipe_of


def evaluate(
    model: Annotated[Path, typer.Argument(help="folder of a bundle, or a checkpoint (.pt) of a training run")],
    sets: Annotated[list[Path], typer.Argument(help="manifests, as SET/SPLIT.jsonl")],
    json_file: Annotated[Path | None, typer.Option("--json", help="file to write all figures to")] = None,
    threads: Annotated[int, typer.Option(min=1, help="clips read at the same time")] = 2,
) -> None:
    """Transcribe labelled clips with the server's own recogniser and report word and character error rates."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = model if model.is_dir() else _as_bundle(model, Path(scratch))
        results = evaluate_manifests(Recognizer(load_bundle(folder)), sets, threads)
    if json_file:
        json_file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    Console().print(_table(results))


def _as_bundle(checkpoint: Path, folder: Path) -> Path:
    """A float32 bundle of a checkpoint, without audit."""
    model, recipe = load_model([checkpoint]), recipe_of(checkpoint)
    write_onnx(model, recipe.loop.dev_chunk_frames, folder / MODEL_FILE)
    parameters = sum(weight.numel() for weight in model.parameters())
    config = bundle_config(recipe, "checkpoint", checkpoint.stem, parameters, "none", ProvenanceConfig())
    write_bundle(folder, config, {}, {})
    return folder


def _table(results: dict[str, Any]) -> Table:
    table = Table("set", "clips", "WER %", "CER %", "all right %", "nothing heard %")
    for name, result in results.items():
        ratios = (result[key] for key in ("wer", "cer", "clips_right_ratio", "null_ratio"))
        table.add_row(name, str(result["clips"]), *("-" if ratio is None else f"{100 * ratio:.1f}" for ratio in ratios))
    return table
