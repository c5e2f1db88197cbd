"""`voxloop models`: the bundles of this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table

from voxloop_cloud.archive import unpack
from voxloop_cloud.bundle import Bundle, find_bundle, store_path
from voxloop_cloud.bundle_store import Shelved, import_bundle, shelved_bundles, verify_bundle, workspace
from voxloop_cloud.download import download
from voxloop_proto.errors import ContractError

_MIB = 2**20
_COLUMNS = ("name", "bundle", "version", "language", "MiB", "ok")

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
    table = Table(*(Column(title, no_wrap=True) for title in _COLUMNS), Column("where", overflow="fold"), box=None)
    for each in shelved:
        table.add_row(*(escape(cell) for cell in _row(each)))
    Console().print(table)
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
            typer.echo(f"ok: {verify_bundle(path).label}, {path}")
        except ContractError as error:
            wrong.append(error.message)
    if wrong:
        raise ContractError("\n".join(wrong))


@models.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="folder of the bundle", metavar="DIR")],
    name: Annotated[str | None, typer.Option(help="name in the store (default: its own name and version)")] = None,
) -> None:
    """Copy a bundle into the store, once it is found to be right."""
    _report(import_bundle(folder, name))


@models.command()
def fetch(
    url: Annotated[str, typer.Argument(help=".tar.gz or .zip of a bundle; https: or file:")],
    sha256: Annotated[str, typer.Option(help="the archive's SHA-256, 64 hex digits", metavar="HEX")],
    name: Annotated[str | None, typer.Option(help="name in the store (default: its own name and version)")] = None,
) -> None:
    """Download a bundle, check it, and put it into the store."""
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
        _report(import_bundle(unpack(folder / "archive", folder / "unpacked"), name))


def _report(path: Path) -> None:
    typer.echo(f"imported as {path.name}; serve it with: voxloop serve --bundle {path.name}")


def _row(shelved: Shelved) -> tuple[str, ...]:
    size = f"{shelved.size_bytes / _MIB:.1f}"
    if isinstance(shelved.outcome, Bundle):
        config = shelved.outcome.config
        return shelved.name, config.name, config.version, config.language, size, "yes", str(shelved.path)
    return shelved.name, "?", "?", "?", size, "no", str(shelved.path)
