"""`voxloop graph`: make the decoding graph of a bundle of phones."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import structlog
import typer

from voxloop_proto.errors import ConfigError
from voxloop_training.grammar.build import GrammarConfig, build_graph

log = structlog.get_logger("graph")

_SHARED_VARIABLE = "VOXLOOP_SHARED"


def graph(
    out_dir: Annotated[Path, typer.Argument(help="folder for the graph, its lexicon and a report")],
    text: Annotated[
        Path | None, typer.Option(help="folder of books, queries and everyday.txt.xz; default: $VOXLOOP_SHARED/text")
    ] = None,
    pruning: Annotated[float, typer.Option(min=0, help="threshold: the lower, the larger the grammar")] = 1e-7,
    least_count: Annotated[int, typer.Option(min=1, help="how often a word that no query has must be seen")] = 3,
) -> None:
    """Learn a grammar from text with irstlm, join it with the lexicon, and write the graph and what it was made of."""
    shared = os.environ.get(_SHARED_VARIABLE)
    folder = text or (Path(shared) / "text" if shared else None)
    if folder is None:
        raise ConfigError(f"no text: give --text FOLDER, or set {_SHARED_VARIABLE} to the folder above it")
    config = GrammarConfig(pruning=pruning, least_count=least_count)
    with tempfile.TemporaryDirectory(prefix="voxloop-graph-") as scratch:
        report = build_graph(folder, out_dir, Path(scratch), config)
    log.info("graph", folder=str(out_dir), **{key: report[key] for key in ("words", "ngrams", "held_out", "bytes")})
