"""Makes a bundle of any size with random weights, to time the serving of a larger model than the default one.

    python -m tests.bench.serving.random_bundle --out DIR --million-parameters 10 [--precision int8]

The default bundle's model, made wider, with its chunks and caches; it writes characters, so every runtime decodes it
greedily. Its text is gibberish. Needs torch (extra `training`).
"""

import argparse
import tempfile
from pathlib import Path

import torch

from voxloop_cloud.bundle import MODEL_FILE, load_bundle
from voxloop_cloud.bundle_config import ProvenanceConfig
from voxloop_proto.errors import ConfigError
from voxloop_training.export.bundle_folder import bundle_config, write_bundle
from voxloop_training.export.onnx_file import write_int8, write_onnx
from voxloop_training.model import ConformerConfig, ConformerCtc
from voxloop_training.recipe import DataConfig, Recipe
from voxloop_training.tokens import Tokens

BLOCKS, HEADS, INNER_TO_WIDTH = 8, 4, 512 / 192
"""Of the default model, whose width alone grows."""

WIDTHS = range(64, 1025, 8)
SEED = 1


def config_of(width: int) -> ConformerConfig:
    """The default model's, at another width."""
    inner = round(width * INNER_TO_WIDTH / 16) * 16
    return ConformerConfig(width=width, heads=HEADS, inner_width=inner, blocks=BLOCKS, tokens=len(Tokens.characters()))


def parameters_of(config: ConformerConfig) -> int:
    """How many weights a model has, without making them."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in ConformerCtc(config).parameters())


def write_random_bundle(folder: Path, million_parameters: float, precision: str) -> None:
    """Fills an empty folder; the same weights each time. Raises ConfigError if something is in it."""
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; give a new or an empty folder")
    config = min(map(config_of, WIDTHS), key=lambda it: abs(parameters_of(it) - million_parameters * 1e6))
    recipe = Recipe(data=DataConfig(train=()), model=config)
    torch.manual_seed(SEED)
    model = ConformerCtc(config)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch, MODEL_FILE) if precision == "int8" else folder / MODEL_FILE
        write_onnx(model, recipe.loop.dev_chunk_frames, full)
        if precision == "int8":
            write_int8(full, folder / MODEL_FILE)
    kind = "int8-dynamic" if precision == "int8" else "none"
    name, parameters = f"random-{million_parameters:g}m-{precision}", parameters_of(config)
    write_bundle(folder, bundle_config(recipe, name, "0", parameters, kind, ProvenanceConfig(seed=SEED)), {}, {})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, required=True, help="folder to make; must be new or empty")
    options.add_argument("--million-parameters", type=float, default=10.0, help="about so many")
    options.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="of the weights")
    given = options.parse_args()
    write_random_bundle(given.out, given.million_parameters, given.precision)
    bundle = load_bundle(given.out)
    print(f"{bundle.label}: {bundle.config.model.parameters / 1e6:.2f} M parameters in {given.out}")  # noqa: T201


if __name__ == "__main__":
    main()
