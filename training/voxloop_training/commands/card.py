"""`voxloop card`: write a bundle's model card."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from voxloop_cloud.bundle import find_bundle, load_bundle
from voxloop_cloud.checksums import write_checksums
from voxloop_proto.errors import DataError
from voxloop_training.evaluation.figures import EvaluationReport
from voxloop_training.export.model_card import CARD_FILE, model_card


def card(
    bundle: Annotated[str, typer.Argument(help="folder or name of a bundle")],
    evaluation: Annotated[Path, typer.Argument(help="what `voxloop evaluate --json` wrote of it")],
) -> None:
    """Write MODEL_CARD.md into a bundle: how well it does, by slice, and where it comes from."""
    folder = find_bundle(bundle)
    loaded = load_bundle(folder)
    report = _read(evaluation)
    evaluated, own = (report.system.bundle, report.system.version), (loaded.config.name, loaded.config.version)
    if evaluated != own:
        raise DataError(f"{evaluation} is of {' '.join(evaluated)}, and {folder} is {' '.join(own)}; evaluate it first")
    (folder / CARD_FILE).write_text(model_card(loaded.config, report), encoding="utf-8")
    write_checksums(folder)
    typer.echo(f"wrote {folder / CARD_FILE}")


def _read(evaluation: Path) -> EvaluationReport:
    try:
        return EvaluationReport.model_validate_json(evaluation.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{evaluation} is no report of `voxloop evaluate --json`: {error}") from error
