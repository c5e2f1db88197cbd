"""What a device shows to its server, and by what it knows it."""

from collections.abc import Callable
from pathlib import Path

import grpc

from voxloop_edge.client_config import ClientConfig
from voxloop_proto.address import is_loopback
from voxloop_proto.contract import AUTHORIZATION_METADATA_KEY, BEARER_PREFIX
from voxloop_proto.errors import ConfigError

MAX_TOKEN_CHARACTERS = 256


def open_credentials(config: ClientConfig) -> grpc.ChannelCredentials | None:
    """What a channel is encrypted with; None for plaintext, which must be asked for. Raises ConfigError."""
    if config.insecure:
        _check_plaintext(config)
        return None
    tls = config.tls
    if (tls.certificate is None) != (tls.key is None):
        raise ConfigError("a device's certificate and its key go together; name both --certificate and --key")
    channel = grpc.ssl_channel_credentials(
        root_certificates=_read(tls.ca, "client.tls.ca"),
        private_key=_read(tls.key, "client.tls.key"),
        certificate_chain=_read(tls.certificate, "client.tls.certificate"),
    )
    if config.token is None and config.token_file is None:
        return channel
    read_token(config)  # a token that cannot be read is said now, not by a call that fails
    return grpc.composite_channel_credentials(channel, grpc.metadata_call_credentials(_TokenPlugin(config)))


def read_token(config: ClientConfig) -> str:
    """The token as it is now. Raises ConfigError if there is none, or two, or what is there is none; never shows it."""
    if config.token is not None and config.token_file is not None:
        raise ConfigError("client.token and client.token_file both name a token; leave out one")
    where = "client.token_file" if config.token_file else "client.token"
    text = (
        config.token.get_secret_value() if config.token else (_read(config.token_file, where) or b"").decode("latin1")
    )
    token = text.strip()
    if not token or len(token) > MAX_TOKEN_CHARACTERS or not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(f"{where} holds no token; it is one word, as 'voxloop tokens issue' prints it")
    return token


class _TokenPlugin(grpc.AuthMetadataPlugin):
    """Adds the token to each call. gRPC calls it in a thread of its own."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    def __call__(
        self,
        context: grpc.AuthMetadataContext,  # noqa: ARG002 (the signature is gRPC's)
        callback: Callable[[tuple[tuple[str, str], ...], Exception | None], None],
    ) -> None:
        try:
            metadata = ((AUTHORIZATION_METADATA_KEY, BEARER_PREFIX + read_token(self._config)),)
        except ConfigError as error:
            callback((), error)
        else:
            callback(metadata, None)


def _read(file: Path | None, setting: str) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {setting} {file}: {error.strerror}") from error


def _check_plaintext(config: ClientConfig) -> None:
    if config.names_a_device:
        raise ConfigError("a token or certificate is never used in plaintext; leave out --insecure, or the token")
    if not is_loopback(config.server) and not config.insecure_beyond_loopback:
        raise ConfigError(
            f"--insecure would carry speech to {config.server} in plaintext over the network; use TLS (leave it out), "
            "or set client.insecure_beyond_loopback where the network is private"
        )
