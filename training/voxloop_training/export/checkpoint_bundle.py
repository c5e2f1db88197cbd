"""A checkpoint as a bundle, to see how a run is doing before it is exported."""

from pathlib import Path

from voxloop_cloud.bundle import MODEL_FILE
from voxloop_cloud.bundle_config import ProvenanceConfig
from voxloop_training.export.bundle_folder import bundle_config, write_bundle
from voxloop_training.export.onnx_file import write_onnx
from voxloop_training.weights import load_model, recipe_of


def write_checkpoint_bundle(checkpoint: Path, folder: Path) -> None:
    """Fills a folder with a float32 bundle of characters, without audit."""
    model, recipe = load_model([checkpoint]), recipe_of(checkpoint)
    write_onnx(model, recipe.loop.dev_chunk_frames, folder / MODEL_FILE)
    parameters = sum(weight.numel() for weight in model.parameters())
    config = bundle_config(recipe, "checkpoint", checkpoint.stem, parameters, "none", ProvenanceConfig())
    write_bundle(folder, config, {}, {})
