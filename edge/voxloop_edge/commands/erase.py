"""`voxloop erase`: takes back all that the server keeps of this device."""

import asyncio
import os
from typing import Annotated

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
from voxloop_edge.erasure import send_erase
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError


def erase(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask first")] = False,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    certificate: Certificate = None,
    key: Key = None,
    insecure: Insecure = None,
    config: SettingsFile = None,
) -> None:
    """Erase all that the server keeps of this device: every utterance with its text, sound, labels and reviews.

    There is no way back. The device is the one of the settings (device_id); a server that asks for tokens lets each
    device erase its own alone. The device may speak again afterwards, and what it says then is kept as its consent
    allows (consent.keep_text, consent.keep_audio). What waits in this device's own spool is not touched: it is sent
    by the next 'listen' or 'upload', unless the spool's folder is deleted first. Data sets that were made of the
    server's store before are not reached.

    \b
      voxloop erase --insecure
      VOXLOOP_DEVICE_ID=kitchen voxloop erase --server voxloop.example.org:50051 --token-file kitchen.token --yes
    """
    settings = read_settings(
        DeviceConfig, config, os.environ, connection_settings(server, ca, token_file, certificate, key, insecure)
    )
    device, where = settings.device_id, settings.client.server
    if not yes and not _is_confirmed(f"erase all that {where} keeps of device {device}, for good?"):
        raise ConfigError("not confirmed, so nothing was erased; --yes does not ask")
    erased = asyncio.run(send_erase(settings.client, device))
    typer.echo(
        f"voxloop: erased {erased.utterances} utterances of {device} and {erased.sound_bytes / 1e6:.1f} MB of sound",
        err=True,
    )


def _is_confirmed(question: str) -> bool:
    """False without an answer, too: a script has nobody to give one."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False
