"""`voxloop serve`: runs the recognition server."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Annotated

import structlog
import typer

from voxloop_cloud.alarms.turn import Turn
from voxloop_cloud.alarms.watch import open_alarms
from voxloop_cloud.capacity_file import measured_capacity
from voxloop_cloud.console.beside import console_beside, with_metrics
from voxloop_cloud.engine import load_recognizer
from voxloop_cloud.metrics.exposition import Exposition, open_exposition
from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.server import ServerConfig, open_server
from voxloop_cloud.workers import Workers, reserved_port
from voxloop_proto.config import read_settings

_log = structlog.get_logger("voxloop.serve")


def serve(
    bundle: Annotated[
        str | None, typer.Option(help="bundle to serve: a folder, or a name from 'voxloop models list'", metavar="DIR")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="address, host:port (default 127.0.0.1:50051)")] = None,
    certificate: Annotated[Path | None, typer.Option(help="the server's certificate (PEM)", metavar="FILE")] = None,
    key: Annotated[Path | None, typer.Option(help="the certificate's private key (PEM)", metavar="FILE")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="CA of devices: each must show a certificate of its own (mTLS)", metavar="FILE")
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="the devices' tokens: each must show its own ('voxloop tokens')", metavar="FILE")
    ] = None,
    anonymous: Annotated[
        bool | None, typer.Option("--anonymous", help="take any device, without a token or certificate")
    ] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="plaintext instead of TLS, for devices on this machine alone")
    ] = None,
    insecure_beyond_loopback: Annotated[
        bool | None,
        typer.Option("--insecure-beyond-loopback", help="with --insecure: plaintext for other machines, too"),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="keep utterances here: voxloop.db, and clips/ where devices let sound be kept", metavar="DIR"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="processes that share the port, one for each core (default 1)")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="show metrics to Prometheus here; a port alone is one of this machine alone", metavar="HOST:PORT"
        ),
    ] = None,
    console: Annotated[
        str | None,
        typer.Option(help="the console in the browser, as 'voxloop console'; needs --state", metavar="HOST:PORT"),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="settings file (TOML); flags and VOXLOOP_* win over it")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True, help="stop when standard input ends")] = False,
) -> None:
    """Run the recognition server.

    The port is encrypted, and each device shows a token. Without certificates it opens only with --insecure, and then
    for this machine alone:

    \b
      voxloop certificates certs && voxloop tokens issue kitchen --tokens tokens.json --out kitchen.token
      voxloop serve --certificate certs/server.pem --key certs/server.key --tokens tokens.json
      voxloop serve --insecure

    Prints one line when it is ready. Ctrl-C or SIGTERM stops it once open sessions have finished, or after drain_ms; a
    second one stops it at once.
    """
    log_to_stderr(log_level)
    flags = {
        "engine.bundle": bundle,
        "listen": listen,
        "tls.certificate": certificate,
        "tls.key": key,
        "tls.client_ca": client_ca,
        "tokens": tokens,
        "anonymous": anonymous,
        "insecure": insecure,
        "insecure_beyond_loopback": insecure_beyond_loopback,
        "workers": workers,
        "store.state": state,
        "metrics.listen": metrics,
    }
    settings = read_settings(ServerConfig, config, os.environ, flags)
    if console is not None:
        settings = with_metrics(settings)
    endings = [sys.stdin.fileno()] if until_stdin_closes else []
    read = open_exposition(settings.metrics, settings.workers, is_read=settings.alarms.on)
    with (
        read as exposition,
        closing(Turn()) as turn,
        console_beside(settings, console, exposition.url, log_level) as tell_console,
    ):

        def say_ready(address: str) -> None:
            _say_ready(address, settings.workers, exposition)
            tell_console(address)

        if settings.workers > 1:
            raise typer.Exit(_serve_with_workers(settings, endings, exposition, turn, say_ready))
        recognizer = load_recognizer(settings.engine)
        limited = _limited(settings, recognizer)
        with exposition.recording() as figures:
            alarms = _alarms(settings, exposition, figures, turn)
            asyncio.run(_serve(limited, recognizer, endings, figures, alarms, say_ready))


def _serve_with_workers(
    settings: ServerConfig,
    endings: Sequence[int],
    exposition: Exposition,
    turn: Turn,
    on_ready: Callable[[str], None],
) -> int:
    with reserved_port(settings.listen) as address:
        recognizer = load_recognizer(settings.engine)
        shared = _limited(settings.model_copy(update={"listen": address}), recognizer)

        def serve_one(place: int, parents_end: int, on_up: Callable[[], None]) -> None:
            with exposition.recording(place) as figures:
                alarms = _alarms(shared, exposition, figures, turn)
                asyncio.run(_serve(shared, recognizer, [*endings, parents_end], figures, alarms, lambda _: on_up()))

        return Workers(serve_one, settings.workers, exposition.forget).run(lambda: on_ready(address))


def _alarms(
    settings: ServerConfig, exposition: Exposition, figures: Figures, turn: Turn
) -> AbstractAsyncContextManager[None]:
    """The alarms, of all workers' figures; one worker at a time evaluates them."""
    read = exposition.all_figures(figures).collect
    return open_alarms(settings.alarms, read, turn, settings.store.database_url)


def _limited(settings: ServerConfig, recognizer: Recognizer) -> ServerConfig:
    """With the limit that was measured for this machine and bundle, unless the settings have their own."""
    if settings.max_streams is not None:
        return settings
    measured = measured_capacity(recognizer.bundle, settings.workers)
    if measured is None:
        _log.warning("not.calibrated", hint="'voxloop calibrate' measures how many devices may speak at once")
        return settings
    _log.info("calibrated", max_streams=measured.streams, measured=measured.measured)
    return settings.model_copy(update={"max_streams": measured.streams})


async def _serve(
    settings: ServerConfig,
    recognizer: Recognizer,
    endings: Sequence[int],
    figures: Figures,
    alarms: AbstractAsyncContextManager[None],
    on_ready: Callable[[str], None],
) -> None:
    """Serves until a signal comes, or one of the files in `endings` ends."""
    stop, stop_now = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, _ask_to_stop, stop, stop_now)
    for file in endings:
        loop.add_reader(file, _stop_at_end_of, file, loop, stop)
    async with open_server(settings, stop_now, recognizer, figures) as address, alarms:
        on_ready(address)
        await stop.wait()
        typer.echo("voxloop serve: stopping; open sessions finish first, again stops at once", err=True)


def _ask_to_stop(stop: asyncio.Event, stop_now: asyncio.Event) -> None:
    """Sets the first event at the first call, the second at any other."""
    (stop_now if stop.is_set() else stop).set()


def _say_ready(address: str, workers: int, exposition: Exposition) -> None:
    shared = f", {workers} workers" if workers > 1 else ""
    typer.echo(f"voxloop serve: listening on {address}{shared}")
    if exposition.url:
        typer.echo(f"voxloop serve: metrics at {exposition.url}")
    sys.stdout.flush()


def _stop_at_end_of(file: int, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(file, 4096):
        loop.remove_reader(file)
        stop.set()


def log_to_stderr(level: str) -> None:
    numbers = logging.getLevelNamesMapping()
    if level.upper() not in numbers:
        raise typer.BadParameter(f"{level!r}; allowed are debug, info, warning, error", param_hint="--log-level")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if sys.stderr.isatty() else [structlog.processors.format_exc_info]),
            # A traceback with its variables would put what people said into the log: plain ones only.
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numbers[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
