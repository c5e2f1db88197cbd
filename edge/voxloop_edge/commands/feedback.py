"""`voxloop feedback`: tells the server what became of a transcript."""

import asyncio
import os
from pathlib import Path
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
from voxloop_edge.feedback import SegmentName, last_said, send_feedback
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import voxloop_pb2 as pb


def feedback(
    session: Annotated[str | None, typer.Argument(help="id of the session, as in the file of --transcripts")] = None,
    segment: Annotated[int | None, typer.Argument(help="number of the segment within it", min=1)] = None,
    transcripts: Annotated[
        Path | None,
        typer.Option(help="in place of SESSION SEGMENT: the last transcript in this file of 'listen'", metavar="FILE"),
    ] = None,
    corrected: Annotated[str | None, typer.Option(help="the user corrected the text to this", metavar="TEXT")] = None,
    typed: Annotated[
        str | None, typer.Option(help="the user gave up speaking and typed this instead", metavar="TEXT")
    ] = None,
    clicked: Annotated[bool, typer.Option("--clicked", help="the user took the result")] = False,
    redone_in: Annotated[
        int | None, typer.Option(help="the user said the same again, in this segment", metavar="SEGMENT", min=2)
    ] = None,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    certificate: Certificate = None,
    key: Key = None,
    insecure: Insecure = None,
    config: SettingsFile = None,
) -> None:
    """Tell the server what became of a transcript: taken, corrected, typed instead, or said again.

    Say one thing about one transcript; what is said later takes its place. Text is kept only if the session's consent
    let text be kept (setting consent.keep_text). A server that keeps no utterances refuses.

    \b
      voxloop feedback --transcripts said.jsonl --clicked
      voxloop feedback 5f0c3a9e 3 --corrected "turn on the lights"
    """
    settings = read_settings(
        DeviceConfig, config, os.environ, connection_settings(server, ca, token_file, certificate, key, insecure)
    )
    named = _named(session, segment, transcripts)
    request = pb.FeedbackRequest(device_id=settings.device_id, session_id=named.session_id, segment_id=named.segment_id)
    _say(request, corrected, typed, clicked, redone_in)
    asyncio.run(send_feedback(settings.client, request))
    typer.echo(f"voxloop: told of segment {named.segment_id} of session {named.session_id}", err=True)


def _named(session: str | None, segment: int | None, transcripts: Path | None) -> SegmentName:
    if transcripts is not None and session is None:
        return last_said(transcripts)
    if transcripts is None and session is not None and segment is not None:
        return SegmentName(session, segment)
    raise ConfigError("which transcript? give SESSION and SEGMENT, or --transcripts FILE for the last one in it")


def _say(
    request: pb.FeedbackRequest, corrected: str | None, typed: str | None, clicked: bool, redone_in: int | None
) -> None:
    said = {
        "corrected_text": corrected,
        "typed_instead": typed,
        "clicked": clicked or None,
        "redone_in_segment": redone_in,
    }
    given = {name: value for name, value in said.items() if value is not None}
    if len(given) != 1:
        raise ConfigError("say one thing: --clicked, --corrected TEXT, --typed TEXT or --redone-in SEGMENT")
    for name, value in given.items():
        setattr(request, name, value)
