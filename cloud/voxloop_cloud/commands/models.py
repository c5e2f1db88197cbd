"""`voxloop models`: the bundles of this machine."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table

from voxloop_cloud.archive import unpack
from voxloop_cloud.bundle import CONFIG_FILE, Bundle, find_bundle, store_path
from voxloop_cloud.bundle_store import (
    Shelved,
    import_bundle,
    import_model,
    shelved_bundles,
    verify_bundle,
    workspace,
)
from voxloop_cloud.checksums import CHECKSUM_FILE
from voxloop_cloud.download import download
from voxloop_cloud.sherpa_files import find_sherpa_files
from voxloop_cloud.sherpa_import import Label
from voxloop_proto.errors import ConfigError, ContractError

_MIB = 2**20
_COLUMNS = ("name", "bundle", "version", "language", "kind", "MiB", "ok")

Name = Annotated[str | None, typer.Option(help="name in the store (default: its own; a model's file or folder)")]
Version = Annotated[str | None, typer.Option(help="a model's version (default: 1)")]
Language = Annotated[str | None, typer.Option(help="a model's language, BCP 47 (default: und, not determined)")]
Licence = Annotated[str | None, typer.Option(help="a model's licence and makers, in words; shown in the list")]
ExactFeatures = Annotated[
    bool,
    typer.Option(
        "--exact-features",
        help="give a model NeMo's own features, not those that sherpa-onnx gives it (docs/models.md)",
    ),
]

models = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="List, verify, import and fetch model bundles.",
)


@models.command("list")
def list_bundles() -> None:
    """Show the bundles of this machine. `voxloop serve --bundle NAME` takes the names."""
    shelved = shelved_bundles()
    if not shelved:
        typer.echo(f"no bundles: none came with this installation, and the store {store_path()} is empty")
        return
    table = Table(*(Column(title, no_wrap=True) for title in _COLUMNS), box=None)
    for each in shelved:
        table.add_row(*(escape(cell) for cell in _row(each)))
    Console().print(table)
    for each in shelved:
        typer.echo(f"{each.name}: {_licence(each)}; {each.path}")
    for each in shelved:
        if isinstance(each.outcome, ContractError):
            typer.echo(f"{each.name}: {each.outcome.message}", err=True)


@models.command()
def verify(
    bundles: Annotated[list[str], typer.Argument(help="folders, or names from the list", metavar="DIR...")],
) -> None:
    """Check bundles: files, checksums, settings, tokens, and one step of the model."""
    wrong: list[str] = []
    for name in bundles:
        path = find_bundle(name)
        try:
            bundle = verify_bundle(path)
            typer.echo(f"ok: {bundle.label}, {bundle.config.kind}, {path}")
        except ContractError as error:
            wrong.append(error.message)
    if wrong:
        raise ContractError("\n".join(wrong))


@models.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(help="bundle, or model: a folder, an archive of one, or an .onnx file", metavar="SOURCE")
    ],
    name: Name = None,
    tokens: Annotated[
        Path | None, typer.Option(help="a model's tokens.txt, if it doesn't lie beside it", metavar="FILE")
    ] = None,
    version: Version = None,
    language: Language = None,
    licence: Licence = None,
    exact_features: ExactFeatures = False,
) -> None:
    """Put a bundle, or a model as sherpa-onnx publishes one, into the store, once it is found to be right.

    Models are CTC models of NVIDIA's NeMo in the layout of sherpa-onnx: model.onnx or model.int8.onnx with tokens.txt,
    streaming or offline; for instance an archive of github.com/k2-fsa/sherpa-onnx, release asr-models:

    voxloop models import sherpa-onnx-nemo-streaming-fast-conformer-ctc-en-480ms.tar.bz2 --licence "CC BY 4.0, NVIDIA"

    docs/models.md has which models, and what is read from them.
    """
    facts = _Facts(name, version, language, licence, exact_features)
    if source.is_file() and source.suffix != ".onnx":
        with workspace() as folder:
            typer.echo(f"unpacking {source.name}", err=True)
            _import(unpack(source, folder / "unpacked"), source.name, tokens, facts)
    else:
        place = source.resolve()
        _import(source, (place.parent if source.is_file() else place).name, tokens, facts)


@models.command()
def fetch(
    url: Annotated[str, typer.Argument(help=".tar.gz, .tar.bz2 or .zip of a bundle or model; https: or file:")],
    sha256: Annotated[str, typer.Option(help="the archive's SHA-256, 64 hex digits", metavar="HEX")],
    name: Name = None,
    version: Version = None,
    language: Language = None,
    licence: Licence = None,
    exact_features: ExactFeatures = False,
) -> None:
    """Download a bundle, or a model as sherpa-onnx publishes one, check it, and put it into the store."""
    columns = (TextColumn("fetching"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with workspace() as folder:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("fetching", total=None)
            download(
                url,
                sha256,
                folder / "archive",
                lambda done_bytes, all_bytes: progress.update(task, completed=done_bytes, total=all_bytes),
            )
        facts = _Facts(name, version, language, licence, exact_features)
        _import(unpack(folder / "archive", folder / "unpacked"), PurePosixPath(urlsplit(url).path).name, None, facts)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the user says of a model, None where nothing; a bundle has all but the name in itself."""

    name: str | None
    version: str | None
    language: str | None
    licence: str | None
    exact_features: bool


def _import(place: Path, origin: str, tokens: Path | None, facts: _Facts) -> None:
    """origin: name of the file or folder that the user named, which names a model that has no other name."""
    if (place / CHECKSUM_FILE).is_file() or (place / CONFIG_FILE).is_file():
        if tokens or facts.version or facts.language or facts.licence or facts.exact_features:
            raise ConfigError(
                f"{origin} is a bundle, which says itself what it is; --tokens, --version, --language, --licence and "
                "--exact-features are for models that are none yet: leave them out"
            )
        target = import_bundle(place, facts.name)
    else:
        label = Label(
            name=facts.name or _name_from(origin),
            version=facts.version or "1",
            language=facts.language or "und",
            licence=facts.licence or "",
            exact_features=facts.exact_features,
        )
        files = find_sherpa_files(place, tokens)
        typer.echo(f"checking {files.model.name}, {files.model.stat().st_size / _MIB:.0f} MiB", err=True)
        target = import_model(files, label, lambda note: typer.echo(note, err=True))
    typer.echo(f"imported as {target.name}; serve it with: voxloop serve --bundle {target.name}")


def _name_from(origin: str) -> str:
    """A name of a bundle, from one of a file or folder."""
    stem = re.sub(r"\.(tar\.\w+|tgz|tbz2?|zip)$", "", origin)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:64] or "model"


def _row(shelved: Shelved) -> tuple[str, ...]:
    size = f"{shelved.size_bytes / _MIB:.1f}"
    if isinstance(shelved.outcome, Bundle):
        config = shelved.outcome.config
        return shelved.name, config.name, config.version, config.language, config.kind, size, "yes"
    return shelved.name, "?", "?", "?", "?", size, "no"


def _licence(shelved: Shelved) -> str:
    if not isinstance(shelved.outcome, Bundle):
        return "not read"
    config = shelved.outcome.config
    return config.licence or ("credits in its bundle.toml" if config.credits else "licence not said")
