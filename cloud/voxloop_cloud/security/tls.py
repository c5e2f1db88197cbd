"""The server's certificate: read, checked before a port is opened, and read anew when its file changes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.errors import ConfigError

EXPIRY_WARNING = timedelta(days=14)
_log = structlog.get_logger("voxloop.tls")


class TlsConfig(BaseModel):
    """Files of the encrypted port, all PEM. `voxloop certificates DIR` makes a set for development."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: Path | None = Field(None, description="the server's certificate, and any between it and its CA")
    key: Path | None = Field(None, description="the private key of the certificate")
    client_ca: Path | None = Field(
        None, description="CA of devices; with it each device must show a certificate of its own (mTLS)"
    )

    @property
    def is_on(self) -> bool:
        """True if any file is named."""
        return any((self.certificate, self.key, self.client_ca))


def open_credentials(config: TlsConfig, now: datetime | None = None) -> grpc.ServerCredentials:
    """What the encrypted port is opened with. Raises ConfigError for a file that is missing, wrong or out of date."""
    if config.certificate is None or config.key is None:
        missing = "certificate (--certificate FILE)" if config.certificate is None else "key (--key FILE)"
        raise ConfigError(f"TLS needs a certificate and its key; there is no tls.{missing}")
    certificate, key = _read(config.certificate, "tls.certificate"), _read(config.key, "tls.key")
    _check_pair(config.certificate, certificate, config.key, key, now or datetime.now(UTC))
    client_ca = None
    if config.client_ca is not None:
        client_ca = _read(config.client_ca, "tls.client_ca")
        _certificates(config.client_ca, client_ca)
    return grpc.ssl_server_credentials([(key, certificate)], client_ca, require_client_auth=client_ca is not None)


def _read(file: Path, setting: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {setting} {file}: {error.strerror}; name a PEM file") from error


def _check_pair(certificate_file: Path, certificate: bytes, key_file: Path, key: bytes, now: datetime) -> None:
    own = _certificates(certificate_file, certificate)[0]
    if own.public_key() != _private_key(key_file, key).public_key():
        raise ConfigError(f"the key {key_file} is not that of the certificate {certificate_file}; name a pair")
    if now < own.not_valid_before_utc:
        raise ConfigError(
            f"the certificate {certificate_file} is valid from {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on, "
            f"and it is {now:%Y-%m-%d %H:%M}; set this machine's clock, or make a new one"
        )
    if now > own.not_valid_after_utc:
        raise ConfigError(
            f"the certificate {certificate_file} ended on {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; "
            "make a new one (for development: 'voxloop certificates DIR')"
        )
    if own.not_valid_after_utc - now < EXPIRY_WARNING:
        _log.warning("certificate.ends_soon", file=str(certificate_file), end=own.not_valid_after_utc.isoformat())


def _certificates(file: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(f"{file} holds no PEM certificate; it begins with -----BEGIN CERTIFICATE-----") from None


def _private_key(file: Path, pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):  # TypeError: it asks for a password
        raise ConfigError(f"{file} holds no PEM private key without a password; name one") from None
