"""The limits of the contract, and the checks of what a device says of itself."""

import re

from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.message_limits import check_lengths
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.contract import OPUS_PACKET_SAMPLES, SCHEMA_VERSION
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Limits(BaseModel):
    """What a device may send; told to it in Welcome."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_message_bytes: int = Field(256 << 10, ge=128 << 10, le=16 << 20, description="largest message, in bytes")
    max_segment_ms: int = Field(60_000, ge=1_000, le=600_000, description="longest segment, in ms")
    max_hotwords: int = Field(1_000, ge=0, le=10_000, description="most hotwords of a session")
    max_sessions_per_device: int = Field(8, ge=1, le=1_000, description="open sessions of one device id")
    max_bytes_per_minute: int = Field(
        256 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="bytes of one device in a minute (256 MiB is 140 times the pace of speech in PCM16)",
    )
    max_segments_per_minute: int = Field(
        10_000, ge=1, le=1 << 30, description="segments of one device in a minute, over all its sessions"
    )

    def to_wire(self) -> pb.Limits:
        """The same as a message."""
        return pb.Limits(**self.model_dump())


def check_hello(hello: pb.Hello) -> None:
    """Raises ContractError when a device asks for what this server does not do; `read_hotwords` checks the hotwords."""
    _check_schema(hello.schema_version)
    check_names(device_id=hello.device_id, session_id=hello.session_id)
    _check_audio_format(hello.audio_format)
    check_lengths(hello)


def check_names(**names: str) -> None:
    """Raises ContractError for an id that is more than a name: it may become part of a path or a log line."""
    for name, value in names.items():
        if not _NAME.fullmatch(value):
            raise ContractError(f"{name} {value[:80]!r}; allowed are 1 to 64 letters, digits, '.', '_' and '-'")


def _check_schema(version: int) -> None:
    ours, theirs = SCHEMA_VERSION // 1000, version // 1000
    if theirs > ours:
        raise ContractError(
            f"the device speaks schema {theirs}.{version % 1000}, this server at most {ours}.x; update the server first"
        )
    if theirs < 1:
        raise ContractError(f"schema_version {version}; this server speaks {ours}.x, written {SCHEMA_VERSION}")


def _check_audio_format(audio_format: pb.AudioFormat) -> None:
    if audio_format.sample_rate_hz != SAMPLE_RATE_HZ:
        raise ContractError(f"sample_rate_hz {audio_format.sample_rate_hz}; allowed is {SAMPLE_RATE_HZ}")
    if audio_format.codec not in (pb.CODEC_PCM16, pb.CODEC_OPUS):
        raise ContractError(f"codec {audio_format.codec}; allowed are CODEC_PCM16 and CODEC_OPUS")
    if audio_format.codec == pb.CODEC_OPUS and audio_format.packet_samples != OPUS_PACKET_SAMPLES:
        raise ContractError(f"Opus packets of {audio_format.packet_samples} samples; allowed are {OPUS_PACKET_SAMPLES}")
