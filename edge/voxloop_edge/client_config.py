"""The settings of a device's connection."""

import re

from pydantic import Field, field_validator

from voxloop_edge.reconnection import ReconnectionConfig

MAX_PORT = 65_535
_ADDRESS = re.compile(r"[^\s/]+:\d{1,5}")


class ClientConfig(ReconnectionConfig):
    """How the device speaks to the cloud."""

    server: str = Field("127.0.0.1:50051", description="address of the server, host:port")
    transcript_timeout_ms: int = Field(
        60_000, ge=100, description="longest silence of the server while it owes a transcript, before reconnecting"
    )
    keepalive_ms: int = Field(20_000, ge=1_000, description="time between pings on a quiet connection")
    max_unanswered_bytes: int = Field(
        4 << 20, ge=1 << 16, description="unanswered audio kept in memory (4 MiB is two minutes of PCM16 speech)"
    )

    @field_validator("server")
    @classmethod
    def _is_host_and_port(cls, server: str) -> str:
        if not _ADDRESS.fullmatch(server) or int(server.rpartition(":")[2]) > MAX_PORT:
            raise ValueError("allowed is host:port, such as 127.0.0.1:50051, with no http:// before it")
        return server
