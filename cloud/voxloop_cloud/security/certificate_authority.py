"""A certificate authority for development: a CA, a server's certificate, and devices' own, in one folder.

Elliptic curve P-256 and SHA-256, as every TLS library of today takes. The CA signs nothing but certificates, and each
certificate serves one end alone: a device's cannot pose as a server.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from voxloop_cloud.security.private_file import write_new
from voxloop_proto.errors import ConfigError

CA_CERTIFICATE, CA_KEY = "ca.pem", "ca.key"
SERVER_CERTIFICATE, SERVER_KEY = "server.pem", "server.key"

CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=397)
"""The longest that browsers and public CAs of 2020 to 2026 took: a stolen key is worth a year."""

CLOCK_SKEW = timedelta(hours=1)
"""Certificates are valid from so long ago: devices' clocks run late."""

_PUBLIC_MODE = 0o644
_HOST = re.compile(
    r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*", re.ASCII
)
_DEVICE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def device_files(folder: Path, device_id: str) -> tuple[Path, Path]:
    """Where a device's certificate and key lie."""
    return folder / f"device-{device_id}.pem", folder / f"device-{device_id}.key"


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """What signs certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str, now: datetime) -> Self:
        """A new one, which trusts nobody but itself."""
        key, subject = _new_key(), _named(name)
        usage = _usage(key_cert_sign=True, crl_sign=True)
        builder = _builder(subject, subject, key.public_key(), now, CA_LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The one in a folder. Raises ConfigError if it cannot be read."""
        try:
            certificate = x509.load_pem_x509_certificate((folder / CA_CERTIFICATE).read_bytes())
            key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
        except OSError as error:
            raise ConfigError(f"cannot read the CA in {folder}: {error.filename}: {error.strerror}") from error
        except (ValueError, TypeError):
            raise ConfigError(f"{folder / CA_CERTIFICATE} or {folder / CA_KEY} is no PEM file of a CA") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigError(f"{folder / CA_KEY} is not the key of {folder / CA_CERTIFICATE}")
        return cls(certificate, key)

    def save(self, folder: Path) -> None:
        """Writes both files. Raises ConfigError if one is there already."""
        _save(folder / CA_CERTIFICATE, self.certificate, folder / CA_KEY, self.key)

    def issue_server(self, hosts: Sequence[str], certificate_file: Path, key_file: Path, now: datetime) -> None:
        """Writes a certificate for the names and addresses of a server, and its key. Raises ConfigError."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        self._issue(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, names, certificate_file, key_file, now)

    def issue_device(self, device_id: str, certificate_file: Path, key_file: Path, now: datetime) -> None:
        """Writes a certificate whose common name is the device's id, and its key. Raises ConfigError."""
        if not _DEVICE.fullmatch(device_id):
            raise ConfigError(f"device {device_id!r}; allowed are 1 to 64 letters, digits, '.', '_' and '-'")
        self._issue(device_id, ExtendedKeyUsageOID.CLIENT_AUTH, None, certificate_file, key_file, now)

    def _issue(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
        certificate_file: Path,
        key_file: Path,
        now: datetime,
    ) -> None:
        key = _new_key()
        builder = _builder(_named(name), self.certificate.subject, key.public_key(), now, LEAF_LIFETIME)
        signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(digital_signature=True), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(signed_by, critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        _save(certificate_file, builder.sign(self.key, hashes.SHA256()), key_file, key)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - CLOCK_SKEW)
        .not_valid_after(now.astimezone(UTC) + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise ConfigError(
                f"host {host!r}; allowed are names such as speech.example.org, and IP addresses"
            ) from None
        return x509.DNSName(host)


def _save(
    certificate_file: Path, certificate: x509.Certificate, key_file: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    if certificate_file.exists():  # before the key is written, which would lie there alone
        raise ConfigError(f"{certificate_file} is there already and is not overwritten; remove it and its key first")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_new(key_file, private)
    write_new(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), _PUBLIC_MODE)
