"""`voxloop tokens`: who may speak to a server; it need not be started again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from voxloop_cloud.limits import check_names
from voxloop_cloud.security.audit_log import AUDIT_FILE, AuditLog
from voxloop_cloud.security.private_file import write_new
from voxloop_cloud.security.token_store import change_tokens, read_tokens
from voxloop_cloud.security.tokens import Role, TokenBook, TokenRecord, make_token
from voxloop_proto.errors import ConfigError, ContractError

tokens = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Issue, list, rotate and revoke the tokens of devices. A running server notices within two seconds.",
)

TokensFile = Annotated[
    Path, typer.Option("--tokens", help="the file of tokens that the server is given", metavar="FILE")
]
Device = Annotated[str, typer.Argument(help="the device's id, as in its settings", metavar="DEVICE")]
ExpiresDays = Annotated[int, typer.Option(min=1, max=3650, help="days until the token ends")]
Out = Annotated[
    Path | None, typer.Option(help="write the token to this new file, for your eyes alone, and print nothing")
]


@tokens.command()
def issue(
    device: Device,
    tokens_file: TokensFile,
    expires_days: ExpiresDays = 365,
    out: Out = None,
    role: Annotated[Role, typer.Option(help="device: speaks; admin: also says which bundle answers")] = Role.DEVICE,
) -> None:
    """Issue a device's first token, and print it: it is shown this once, the file keeps only its hash.

    With --role admin, a token for a person or program that runs the server ('voxloop deploy'); DEVICE is then its name.
    """
    now = datetime.now(UTC)
    text, record = _new_token(device, now, expires_days, out, role)

    def change(book: TokenBook) -> TokenBook:
        if book.of(device, now):
            raise ConfigError(f"{device} has a token already; 'voxloop tokens rotate {device}' gives it a new one")
        return book.add(record, now)

    change_tokens(tokens_file, change)
    _audit(tokens_file).record("token.issue", device_id=device, token_id=record.id, role=role)
    _hand_over(text, record, out)


@tokens.command()
def rotate(
    device: Device,
    tokens_file: TokensFile,
    grace_hours: Annotated[
        float, typer.Option(min=0, max=24 * 90, help="hours for which the old token still counts")
    ] = 24.0,
    expires_days: ExpiresDays = 365,
    out: Out = None,
) -> None:
    """Issue a new token, and let the old one count for a while: time to bring the new one to the device.

    A device that reads its token from a file (--token-file) takes the new one at its next connection.
    """
    now = datetime.now(UTC)
    text, record = _new_token(device, now, expires_days, out, _role_of(device, tokens_file, now))

    def change(book: TokenBook) -> TokenBook:
        if not book.of(device, now):
            raise ConfigError(f"{device} has no token that counts; 'voxloop tokens issue {device}' gives it one")
        ended = book.end(lambda known: known.device_id == device, now + timedelta(hours=grace_hours), now)
        return ended.add(record, now)

    change_tokens(tokens_file, change)
    _audit(tokens_file).record("token.rotate", device_id=device, token_id=record.id, grace_hours=f"{grace_hours:g}")
    _hand_over(text, record, out)


@tokens.command()
def revoke(
    device: Device,
    tokens_file: TokensFile,
    token_id: Annotated[
        str | None, typer.Option("--id", help="only the token of this id, from 'voxloop tokens list'", metavar="ID")
    ] = None,
) -> None:
    """Revoke the tokens of a device, at once: open streams that use them end within two seconds."""
    now = datetime.now(UTC)
    found: list[TokenRecord] = []

    def change(book: TokenBook) -> TokenBook:
        found.extend(record for record in book.of(device, now) if token_id in (None, record.id))
        if not found:
            raise ConfigError(f"no token of {device} to revoke; 'voxloop tokens list --tokens {tokens_file}' shows all")
        return book.end(found.__contains__, now, now)

    change_tokens(tokens_file, change)
    for record in found:
        _audit(tokens_file).record("token.revoke", device_id=device, token_id=record.id)
    typer.echo(f"revoked {len(found)} of {device}")


@tokens.command(name="list")
def list_tokens(tokens_file: TokensFile) -> None:
    """Show all tokens, without their secrets."""
    now = datetime.now(UTC)
    table = Table("device", "role", "id", "issued", "ends", "state", box=None)
    for record in read_tokens(tokens_file).tokens:
        state = record.why_not(now) or ("counts" if record.revoked is None else "counts until it ends")
        table.add_row(
            record.device_id, record.role, record.id, f"{record.issued:%Y-%m-%d}", f"{record.end:%Y-%m-%d %H:%M}", state
        )
    Console().print(table)


def _role_of(device: str, tokens_file: Path, now: datetime) -> Role:
    """That of its newest token that counts: a new one lets it do no more and no less."""
    known = read_tokens(tokens_file).of(device, now) if tokens_file.exists() else []
    return known[-1].role if known else Role.DEVICE


def _new_token(device: str, now: datetime, expires_days: int, out: Path | None, role: Role) -> tuple[str, TokenRecord]:
    """Raises ConfigError for a device that cannot be, or a file that is there already."""
    try:
        check_names(device_id=device)
    except ContractError as error:
        raise ConfigError(error.message) from error
    if out is not None and out.exists():
        raise ConfigError(f"{out} is there already and is not overwritten; remove it first, or name another")
    return make_token(device, now, timedelta(days=expires_days), role)


def _hand_over(text: str, record: TokenRecord, out: Path | None) -> None:
    if out is None:
        typer.echo(text)
    else:
        write_new(out, f"{text}\n".encode())
    where = out or "a file of its own, readable by its owner alone"
    typer.echo(
        f"token {record.id} of {record.device_id}, until {record.expires:%Y-%m-%d}: "
        f"put it into {where}, {_use(record)}",
        err=True,
    )


def _use(record: TokenRecord) -> str:
    if record.role is Role.ADMIN:
        return "and then: voxloop deploy status --token-file FILE"
    return f"and on the device: voxloop listen --token-file FILE (with device_id = {record.device_id!r})"


def _audit(tokens_file: Path) -> AuditLog:
    return AuditLog(tokens_file.with_name(AUDIT_FILE))
