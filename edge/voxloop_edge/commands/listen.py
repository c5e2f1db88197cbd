"""`voxloop listen`: transcribes the microphone, live."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, cast

import typer

from voxloop_edge.commands.connection_flags import (
    Ca,
    Certificate,
    Insecure,
    Key,
    Server,
    SettingsFile,
    TokenFile,
    connection_settings,
)
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.event_lines import printing_events
from voxloop_edge.fallback import check_fallback
from voxloop_edge.hotword_file import read_hotword_file
from voxloop_edge.listener import listen_to
from voxloop_edge.live_view import LiveView
from voxloop_edge.source import Source, StdinSource
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.config import read_settings

if TYPE_CHECKING:
    from voxloop_edge.metrics.figures import Figures


def listen(
    device: Annotated[
        str | None, typer.Option(help="microphone: a number or part of a name from --list-devices")
    ] = None,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    certificate: Certificate = None,
    key: Key = None,
    insecure: Insecure = None,
    codec: Annotated[str | None, typer.Option(help="pcm16 or opus (a tenth of the bytes)")] = None,
    stdin: Annotated[
        str | None, typer.Option(help="read raw samples from standard input instead: s16le or f32le", metavar="FORMAT")
    ] = None,
    rate: Annotated[int, typer.Option(help="sample rate of --stdin, in Hz")] = 16_000,
    channels: Annotated[int, typer.Option(help="channels of --stdin")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="print each event as a JSON line: level, segments, text as it forms, notices")
    ] = False,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="list the microphones and exit")] = False,
    spool: Annotated[
        Path | None,
        typer.Option(help="keep segments on disk in this folder until they are answered", metavar="DIR"),
    ] = None,
    transcripts: Annotated[
        Path | None, typer.Option(help="append each transcript to this file, as a JSON line", metavar="FILE")
    ] = None,
    fallback: Annotated[
        str | None,
        typer.Option(help="none, or local: transcribe on this device while the cloud is away (needs --spool)"),
    ] = None,
    hotwords: Annotated[
        Path | None, typer.Option(help="file of likely words or phrases, one a line", metavar="FILE")
    ] = None,
    only_hotwords: Annotated[
        bool, typer.Option("--only-hotwords", help="nothing but the hotwords is said: commands, digits, a menu")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="show metrics to Prometheus here; a port alone is one of this machine alone", metavar="HOST:PORT"
        ),
    ] = None,
    config: SettingsFile = None,
) -> None:
    """Transcribe the microphone, live.

    Shows a level meter and the text as it forms, and prints each transcript on a line of its own (nothing else if the
    output is not a terminal). Ctrl-C stops listening and waits for the last transcript; once more abandons it.

    With --spool nothing that was said is lost when the server, the network or the power goes: it is kept on disk
    (setting spool.max_bytes; then spool.when_full drops the oldest or the newest) and sent when the server is back, by
    this run or the next, or by 'voxloop upload'. With --transcripts each segment is in the file exactly once.

    With --fallback local a server on this device gives the text when the cloud is away for client.fallback_after_ms
    (3 s); it serves the default bundle, or client.fallback_bundle. The speech is uploaded later all the same; the
    cloud's text is then added to --transcripts as "superseding", and not printed again.

    Raw sound from another program: arecord -q -f S16_LE -r 16000 -c 1 -t raw | voxloop listen --stdin s16le

    With --json each line of the output is an object, whose "event" is one of: level, started, hypothesis, ended,
    transcript, failed, link, notice. Times are seconds of the microphone's clock.
    """
    if list_devices:
        from voxloop_edge.microphone import list_devices as names  # noqa: PLC0415 (needs the sound system)

        typer.echo("\n".join(names()))
        return
    flags = {
        **connection_settings(server, ca, token_file, certificate, key, insecure),
        "encoder.codec": codec,
        "spool.dir": spool,
        "transcripts": transcripts,
        "metrics.listen": metrics,
        "client.fallback": fallback,
        "hotwords": read_hotword_file(hotwords) if hotwords else None,
        "hotwords_only": only_hotwords or None,
    }
    settings = read_settings(DeviceConfig, config, os.environ, flags)
    check_fallback(settings)
    with _open_source(device, stdin, rate, channels) as source:
        asyncio.run(_listen(source, settings, as_json))
        if source.lost_samples:
            lost_s = source.lost_samples / SAMPLE_RATE_HZ
            typer.echo(f"voxloop: {lost_s:.1f} s of sound came faster than it could be taken and are lost", err=True)


@contextlib.contextmanager
def _open_source(device: str | None, stdin: str | None, rate_hz: int, channels: int) -> Iterator[Source]:
    if stdin is not None:
        # Unbuffered: a thread that waits in a buffered read holds a lock that the interpreter's end needs.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
            yield StdinSource(cast(BinaryIO, pipe), rate_hz, channels, cast(Literal["s16le", "f32le"], stdin))
        return
    from voxloop_edge.microphone import Microphone  # noqa: PLC0415 (needs the sound system)

    microphone = Microphone(int(device) if device is not None and device.isdigit() else device)
    try:
        yield microphone
    finally:
        microphone.stop()


async def _listen(source: Source, settings: DeviceConfig, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_listening() -> None:
        loop.remove_signal_handler(signal.SIGINT)  # the next Ctrl-C interrupts for good
        stop.set()

    loop.add_signal_handler(signal.SIGINT, stop_listening)
    loop.add_signal_handler(signal.SIGTERM, stop_listening)
    showing = printing_events(stop.set) if as_json else LiveView()
    with _figures(settings) as figures, showing as view:
        await listen_to(source, settings, view, stop, figures)


@contextlib.contextmanager
def _figures(settings: DeviceConfig) -> "Iterator[Figures | None]":
    """Those of this device, shown where the settings say, if they do."""
    if settings.metrics.listen is None:
        yield None
        return
    from voxloop_edge.metrics.exposition import showing_figures  # noqa: PLC0415 (a device that is not watched goes without)

    with showing_figures(settings.metrics.listen) as (figures, url):
        typer.echo(f"voxloop: metrics at {url}", err=True)
        yield figures
