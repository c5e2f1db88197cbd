"""`voxloop synthesize`: speech from text, in free voices."""

import os
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.progress import Progress

from voxloop_proto.errors import ConfigError
from voxloop_training.synthesis.engines import require
from voxloop_training.synthesis.recipe import load_synthesis
from voxloop_training.synthesis.speaking import synthesize as say
from voxloop_training.synthesis.voices import VOICES

log = structlog.get_logger("synthesize")


def synthesize(
    recipe_file: Annotated[Path, typer.Argument(help="TOML: voices, minutes, kinds of text; see training/recipes")],
    out_dir: Annotated[Path, typer.Argument(help="folder for the clips and train.jsonl, dev.jsonl, test.jsonl")],
    text: Annotated[
        Path | None, typer.Option(help="folder of books, queries and everyday.txt.xz; default: $VOXLOOP_SHARED/text")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="voices that speak at once")] = 2,
) -> None:
    """Let free voices of Debian speak sentences. The same recipe, text and engines give the same clips.

    A run that was broken off, by Ctrl-C too, goes on where it was. OUT_DIR/README.md says whose voices these are.
    To train on the outcome, name OUT_DIR/train.jsonl in a training recipe's data.train, as an absolute path.
    """
    recipe = load_synthesis(recipe_file)
    for share in recipe.voices:
        require(VOICES[share.voice])
    folder = text or Path(os.environ.get("VOXLOOP_SHARED", "../shared"), "text")
    if not folder.is_dir():
        raise ConfigError(f"no text in {folder}; give --text FOLDER, or set VOXLOOP_SHARED to the folder above it")
    with Progress() as bar:
        task = bar.add_task("speaking", total=60 * sum(share.minutes for share in recipe.voices))
        manifests = say(recipe, folder, out_dir.resolve(), threads, lambda seconds: bar.advance(task, seconds))
    for split, manifest in manifests.items():
        hours = round(manifest.hours, 2)
        log.info("spoken", split=split, clips=len(manifest.rows), hours=hours, manifest_sha256=manifest.sha256)
