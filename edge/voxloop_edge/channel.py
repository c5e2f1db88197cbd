"""The connection to the server that a device's sessions share."""

from typing import TYPE_CHECKING, cast

import grpc.aio

from voxloop_edge.client_config import ClientConfig
from voxloop_edge.credentials import open_credentials
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub

if TYPE_CHECKING:
    from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceAsyncStub

MAX_RESPONSE_BYTES = 1 << 20
"""Largest message taken from a server: a transcript of the longest segment, with its words, has a tenth of it."""

_KEEPALIVE_TIMEOUT_MS = 10_000


def open_channel(config: ClientConfig) -> grpc.aio.Channel:
    """A channel to the server; many sessions may share it. Raises ConfigError for credentials that cannot be."""
    options: list[tuple[str, int | str]] = [
        ("grpc.keepalive_time_ms", config.keepalive_ms),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", _KEEPALIVE_TIMEOUT_MS),  # else a minute, whatever the keepalive says
        ("grpc.http2.max_pings_without_data", 0),  # else the line of a silent device is looked after for two pings only
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.initial_reconnect_backoff_ms", config.first_backoff_ms),
        ("grpc.min_reconnect_backoff_ms", config.first_backoff_ms),
        ("grpc.max_reconnect_backoff_ms", config.longest_backoff_ms),
        ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
        ("grpc.use_local_subchannel_pool", 1),  # else channels of equal settings are one connection, to one worker
    ]
    credentials = open_credentials(config)
    if credentials is None:
        return grpc.aio.insecure_channel(config.server, options=options)
    if config.tls.server_name:
        options.append(("grpc.ssl_target_name_override", config.tls.server_name))
    return grpc.aio.secure_channel(config.server, credentials, options=options)


def open_stub(channel: grpc.aio.Channel) -> "SpeechServiceAsyncStub":
    """The service on a channel; the generated stub is the asynchronous one when its channel is."""
    return cast("SpeechServiceAsyncStub", SpeechServiceStub(channel))
