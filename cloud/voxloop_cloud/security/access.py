"""Who may reach the server, and how: the settings, and what they come to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.security.audit_log import AUDIT_FILE, AuditLog, open_audit_log
from voxloop_cloud.security.authentication import Authenticator
from voxloop_cloud.security.gate import Gate
from voxloop_cloud.security.tls import TlsConfig, open_credentials
from voxloop_cloud.security.token_store import WatchedTokens
from voxloop_proto.address import is_loopback
from voxloop_proto.errors import ConfigError


class AccessConfig(BaseModel):
    """The settings of who may reach the server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tls: TlsConfig = Field(default_factory=TlsConfig)
    tokens: Path | None = Field(None, description="file of the devices' tokens, kept by 'voxloop tokens'")
    anonymous: bool = Field(False, description="take any device, without a token or certificate")
    insecure: bool = Field(False, description="plaintext instead of TLS, on an address of this machine alone")
    insecure_beyond_loopback: bool = Field(
        False, description="with insecure: plaintext on an address that other machines can reach, too"
    )
    audit_log: Path | None = Field(
        None,
        description=f"file of refused calls and of what admins did; {AUDIT_FILE} beside the tokens if nothing is said",
    )


@dataclass(frozen=True, slots=True)
class Access:
    """What a port is opened with. credentials: None for plaintext; gate: None if nobody need say who they are.

    audit: None if no file is named, nor tokens that it could lie beside.
    """

    credentials: grpc.ServerCredentials | None
    gate: Gate | None
    audit: AuditLog | None


@asynccontextmanager
async def open_access(config: AccessConfig, listen: str) -> AsyncIterator[Access]:
    """Reads all that the settings name, and keeps an eye on the tokens until the block is left.

    Raises ConfigError for settings that say too little or two things at once, and for files that are wrong.
    """
    audit = open_audit_log(config.audit_log, config.tokens)
    credentials, gate = _open_port(config, listen), _open_gate(config, audit)
    watch = asyncio.create_task(gate.watch(), name="watch tokens") if gate else None
    try:
        yield Access(credentials, gate, audit)
    finally:
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


def _open_port(config: AccessConfig, listen: str) -> grpc.ServerCredentials | None:
    if config.tls.is_on and config.insecure:
        raise ConfigError("--insecure means plaintext, and the settings name TLS files; leave out one or the other")
    if config.tls.is_on:
        return open_credentials(config.tls)
    if not config.insecure:
        raise ConfigError(
            "no certificate, and speech is not taken in plaintext unasked: make one with 'voxloop certificates DIR' "
            "and name it with --certificate DIR/server.pem --key DIR/server.key; "
            "or, for devices on this machine alone, add --insecure"
        )
    if not is_loopback(listen) and not config.insecure_beyond_loopback:
        raise ConfigError(
            f"listening on {listen} would carry speech in plaintext over the network; use TLS ('voxloop "
            "certificates --help'), listen on 127.0.0.1, or add --insecure-beyond-loopback where the network is private"
        )
    return None


def _open_gate(config: AccessConfig, audit: AuditLog | None) -> Gate | None:
    asks = config.tokens is not None or config.tls.client_ca is not None
    if asks and config.anonymous:
        raise ConfigError(
            "--anonymous takes any device, and the settings name tokens or a CA of devices; leave out one"
        )
    if not asks and not config.anonymous and not config.insecure:
        raise ConfigError(
            "no word on who may speak to this server: name --tokens FILE ('voxloop tokens issue DEVICE' makes it), "
            "--client-ca FILE for devices with certificates, or --anonymous to take any device"
        )
    if not asks:
        return None
    tokens = WatchedTokens(config.tokens) if config.tokens else None
    authenticator = Authenticator(tokens, asks_certificate=config.tls.client_ca is not None)
    return Gate(authenticator, tokens, audit)
