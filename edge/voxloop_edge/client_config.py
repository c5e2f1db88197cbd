"""The settings of a device's connection."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from voxloop_edge.reconnection import ReconnectionConfig

MAX_PORT = 65_535
_ADDRESS = re.compile(r"[^\s/]+:\d{1,5}")


class ClientTlsConfig(BaseModel):
    """By what the device knows its server, and shows who it is; files are PEM."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: Path | None = Field(None, description="CA of the server's certificate; without it, the public ones")
    certificate: Path | None = Field(None, description="this device's certificate, if the server asks for one (mTLS)")
    key: Path | None = Field(None, description="the private key of this device's certificate")
    server_name: str | None = Field(
        None, description="name in the server's certificate, where it is not that of its address"
    )


class ClientConfig(ReconnectionConfig):
    """How the device speaks to the cloud."""

    server: str = Field("127.0.0.1:50051", description="address of the server, host:port")
    tls: ClientTlsConfig = Field(default_factory=ClientTlsConfig)
    token: SecretStr | None = Field(None, description="this device's token, from 'voxloop tokens issue'")
    token_file: Path | None = Field(
        None, description="file that holds the token; read at each connection, so a new token needs no restart"
    )
    insecure: bool = Field(False, description="plaintext instead of TLS, to a server on this machine alone")
    insecure_beyond_loopback: bool = Field(
        False, description="with insecure: plaintext over the network, too; anyone on the way may listen"
    )
    transcript_timeout_ms: int = Field(
        60_000, ge=100, description="longest silence of the server while it owes a transcript, before reconnecting"
    )
    keepalive_ms: int = Field(20_000, ge=1_000, description="time between pings on a quiet connection")
    heartbeat_ms: int = Field(
        30_000, ge=0, description="time between reports of how the device is, on an open connection; 0: none"
    )
    finish_timeout_ms: int = Field(
        3_000, ge=0, description="with a spool, longest wait at the end for a server that is away"
    )
    fallback: Literal["none", "local"] = Field(
        "none", description="local: a server on the device itself gives text while the cloud is away; needs spool.dir"
    )
    fallback_bundle: str | None = Field(None, description="what that server serves: a folder or a name")
    fallback_after_ms: int = Field(3_000, ge=0, description="longest wait for the cloud before the device's own text")
    fallback_keep_ms: int = Field(
        60_000, ge=1_000, description="how long the device's own server stays when it is not needed"
    )
    max_unanswered_bytes: int = Field(
        4 << 20, ge=1 << 16, description="unanswered audio kept in memory (4 MiB is two minutes of PCM16 speech)"
    )

    @field_validator("server")
    @classmethod
    def _is_host_and_port(cls, server: str) -> str:
        if not _ADDRESS.fullmatch(server) or int(server.rpartition(":")[2]) > MAX_PORT:
            raise ValueError("allowed is host:port, such as 127.0.0.1:50051, with no http:// before it")
        return server

    @property
    def names_a_device(self) -> bool:
        """True if the server is shown who this is, and so takes no other device id."""
        return any((self.token, self.token_file, self.tls.certificate))

    def to_local(self, address: str) -> Self:
        """The same for a server of one's own on this machine: in plaintext, and without this device's secrets."""
        local = {"server": address, "insecure": True, "tls": ClientTlsConfig(), "token": None, "token_file": None}
        return self.model_copy(update=local)
