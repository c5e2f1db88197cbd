"""`voxloop console`: a server's state in the browser."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from voxloop_cloud.commands.serve import log_to_stderr
from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.console.password import password_file
from voxloop_cloud.console.running import run_console
from voxloop_proto.config import read_settings


def console(
    state: Annotated[
        Path | None, typer.Option(help="the server's folder of state, as in its --state", metavar="DIR")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="address, host:port (default 127.0.0.1:8080)")] = None,
    metrics: Annotated[
        str | None, typer.Option(help="page of the server's metrics, for the pipeline", metavar="URL")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="the server's file of alarm rules; thresholds in it can then be changed")
    ] = None,
    password: Annotated[
        Path | None, typer.Option(help="file of the password (default: DIR/console.password, made if need be)")
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="the server's file of tokens: an admin's token signs in, too")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="certificate (PEM): needed beyond this machine")] = None,
    key: Annotated[Path | None, typer.Option(help="the certificate's private key (PEM)")] = None,
    server: Annotated[
        str | None,
        typer.Option(
            help="server on this machine that takes plaintext, for the microphone of 'Try it'", metavar="HOST:PORT"
        ),
    ] = None,
    device: Annotated[
        Path | None,
        typer.Option(
            help="in place of --server: the microphone's settings as of 'voxloop listen --config', with TLS and token",
            metavar="FILE",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="settings file (TOML); flags and VOXLOOP_CONSOLE_* win over it")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True, help="stop when standard input ends")] = False,
) -> None:
    """See and steer a server in the browser: utterances, stages, deployments, reviews, alarms, drift,
    and a microphone to try it with.

    Reads the server's state, so it runs beside it, or wherever its database can be reached; 'voxloop serve --console'
    starts one with the server. The password is in a file that only you can read:

    \b
      voxloop serve --insecure --state state --metrics 9464
      voxloop console --state state --metrics http://127.0.0.1:9464/metrics
      cat state/console.password

    Ctrl-C stops it. Nothing that it shows comes from another machine, and it lets browsers ask none.
    """
    log_to_stderr(log_level)
    flags = {
        "store.state": state,
        "listen": listen,
        "metrics": metrics,
        "rules": rules,
        "password": password,
        "tokens": tokens,
        "certificate": certificate,
        "key": key,
        "server": server,
        "device": device,
    }
    settings = read_settings(ConsoleConfig, config, os.environ, flags, prefix="VOXLOOP_CONSOLE_")

    def say_ready(address: str) -> None:
        typer.echo(f"voxloop console: {address}")
        if (file := password_file(settings)) is not None:
            typer.echo(f"voxloop console: the password is in {file}")
        sys.stdout.flush()

    run_console(settings, say_ready, until_stdin_closes)
