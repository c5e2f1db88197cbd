"""The flags of every command that speaks to a server: which one, what this device shows it, and its settings."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Server: TypeAlias = Annotated[str | None, typer.Option(help="address of the server (default 127.0.0.1:50051)")]
Ca: TypeAlias = Annotated[
    Path | None, typer.Option(help="CA of the server's certificate (PEM; default: the public ones)", metavar="FILE")
]
TokenFile: TypeAlias = Annotated[Path | None, typer.Option(help="file that holds this device's token", metavar="FILE")]
Certificate: TypeAlias = Annotated[
    Path | None, typer.Option(help="this device's certificate (PEM), if the server asks for one", metavar="FILE")
]
Key: TypeAlias = Annotated[Path | None, typer.Option(help="the private key of --certificate (PEM)", metavar="FILE")]
Insecure: TypeAlias = Annotated[
    bool | None, typer.Option("--insecure", help="plaintext, to a server on this machine alone")
]
SettingsFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="settings file (TOML); flags and VOXLOOP_* win over it")
]


def connection_settings(
    server: str | None,
    ca: Path | None,
    token_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    insecure: bool | None,
) -> dict[str, object]:
    """The flags as settings, by their names there."""
    return {
        "client.server": server,
        "client.tls.ca": ca,
        "client.tls.certificate": certificate,
        "client.tls.key": key,
        "client.token_file": token_file,
        "client.insecure": insecure,
    }
