"""`voxloop upload`: sends what `voxloop listen` left in its spool."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from voxloop_edge.channel import open_channel
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
from voxloop_edge.notice import notice
from voxloop_edge.replies import LinkChanged, Reply, TranscriptArrived
from voxloop_edge.safekeeping import open_safekeeping
from voxloop_edge.uploader import Uploader
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError


def upload(
    spool: Annotated[
        Path | None, typer.Option(help="the spool's folder (setting spool.dir)", metavar="DIR", file_okay=False)
    ] = None,
    transcripts: Annotated[
        Path | None, typer.Option(help="append each transcript to this file, as a JSON line", metavar="FILE")
    ] = None,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    certificate: Certificate = None,
    key: Key = None,
    insecure: Insecure = None,
    config: SettingsFile = None,
) -> None:
    """Send what is left in the spool, and print its transcripts.

    For after an outage that outlasted `voxloop listen --spool DIR`. Segments go out under the sessions they belong to
    and leave the spool when they are answered; with the same --transcripts FILE as `listen`, each is in it exactly
    once, whatever breaks. Ends when the spool is empty, or with an error when the server is away: run it again then.
    """
    flags = {
        "spool.dir": spool,
        "transcripts": transcripts,
        **connection_settings(server, ca, token_file, certificate, key, insecure),
    }
    settings = read_settings(DeviceConfig, config, os.environ, flags)
    if settings.spool.dir is None or not settings.spool.dir.is_dir():
        found = f"no folder {settings.spool.dir}" if settings.spool.dir else "no spool is named"
        raise ConfigError(f"{found}; give the folder of 'voxloop listen --spool DIR'")
    asyncio.run(_upload(settings))


async def _upload(settings: DeviceConfig) -> None:
    async with (
        open_safekeeping(settings.spool, settings.transcripts, _show) as keeping,
        open_channel(settings.client) as channel,
    ):
        sessions = keeping.left_sessions()
        segments = sum(map(len, sessions.values()))
        typer.echo(f"voxloop: {segments} segments of {len(sessions)} sessions are to be sent", err=True)
        uploader = Uploader(channel, settings.client, keeping, _show, _at_once)
        try:
            await uploader.upload(sessions)
        finally:
            left = sum(map(len, keeping.left_sessions().values()))
            typer.echo(f"voxloop: {segments - left} segments left the spool, {left} stay in it", err=True)
        if uploader.stuck:
            raise ConfigError(f"{len(uploader.stuck)} sessions were refused, as said above; mend that and run it again")


async def _at_once() -> None:
    """Nobody is speaking here, whose segments went first."""


def _show(reply: Reply) -> None:
    if isinstance(reply, TranscriptArrived):
        if reply.transcript.text:
            typer.echo(reply.transcript.text)
    elif not (isinstance(reply, LinkChanged) and reply.is_open):
        typer.echo(f"voxloop: {notice(reply)}", err=True)
