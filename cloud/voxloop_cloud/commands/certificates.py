"""`voxloop certificates`: a CA for development, and the certificates of a server and its devices."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from voxloop_cloud.security.audit_log import AUDIT_FILE, AuditLog
from voxloop_cloud.security.certificate_authority import (
    CA_CERTIFICATE,
    CA_KEY,
    LEAF_LIFETIME,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    CertificateAuthority,
    device_files,
)
from voxloop_proto.errors import ConfigError

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def certificates(
    folder: Annotated[Path, typer.Argument(help="where they lie, or will lie", metavar="DIR")],
    host: Annotated[
        list[str] | None,
        typer.Option(help="name or address by which devices reach the server, beside localhost; may be repeated"),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="also a certificate for this device id (mTLS); may be repeated", metavar="ID"),
    ] = None,
) -> None:
    """Make a CA for development, and the certificates of a server and of devices.

    The first time it makes a CA and a server's certificate, for localhost and each --host; with --device also one for a
    device, whose name is its id. Later it adds what is missing with the same CA, and never overwrites anything:

    \b
      voxloop certificates certs --host speech.example.org
      voxloop certificates certs --device kitchen --device hall

    Keys are readable by you alone. Certificates last 397 days, the CA ten years. To renew one, remove its
    .pem and .key.
    Keep ca.key away from servers and devices; where the public is served, use a public CA instead.
    """
    now = datetime.now(UTC)
    _make_folder(folder)
    authority = _authority(folder, now)
    audit = AuditLog(folder / AUDIT_FILE)
    made_server = _make_server(authority, folder, host or [], now, audit, is_all=not device)
    for device_id in device or []:
        authority.issue_device(device_id, *device_files(folder, device_id), now)
        audit.record("certificate.device", device_id=device_id, folder=str(folder))
    _say_what_next(folder, made_server, device or [])


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}; name another") from error


def _authority(folder: Path, now: datetime) -> CertificateAuthority:
    if (folder / CA_CERTIFICATE).exists() or (folder / CA_KEY).exists():
        return CertificateAuthority.load(folder)
    authority = CertificateAuthority.make(f"voxloop development CA of {platform.node()}", now)
    authority.save(folder)
    AuditLog(folder / AUDIT_FILE).record("certificate.ca", folder=str(folder))
    return authority


def _make_server(
    authority: CertificateAuthority, folder: Path, hosts: list[str], now: datetime, audit: AuditLog, is_all: bool
) -> bool:
    """Makes the server's certificate if there is none; false if there is one, and only devices are asked for."""
    certificate, key = folder / SERVER_CERTIFICATE, folder / SERVER_KEY
    if certificate.exists() and not is_all and not hosts:
        return False
    if certificate.exists():
        raise ConfigError(
            f"{certificate} is there already and is not overwritten: remove it and {key.name} to make a new one, "
            "or add devices with --device ID"
        )
    names = list(dict.fromkeys((*hosts, *LOCAL_HOSTS)))
    authority.issue_server(names, certificate, key, now)
    audit.record("certificate.server", hosts=" ".join(names), folder=str(folder))
    return True


def _say_what_next(folder: Path, made_server: bool, devices: list[str]) -> None:
    if made_server:
        typer.echo(f"made a server's certificate in {folder}, for {LEAF_LIFETIME.days} days. Serve with it:")
        typer.echo(
            f"  voxloop tokens issue DEVICE --tokens {folder}/tokens.json --out {folder}/DEVICE.token\n"
            f"  voxloop serve --certificate {folder / SERVER_CERTIFICATE} --key {folder / SERVER_KEY} "
            f"--tokens {folder}/tokens.json\n"
            f"and on the device, with {CA_CERTIFICATE} and the token's file copied there:\n"
            f"  voxloop listen --server HOST:50051 --ca {CA_CERTIFICATE} --token-file DEVICE.token"
        )
    for device_id in devices:
        certificate, key = device_files(folder, device_id)
        typer.echo(
            f"made {certificate} for device {device_id}. The server asks for it with "
            f"--client-ca {folder / CA_CERTIFICATE}; the device (device_id = {device_id!r}) shows it with\n"
            f"  voxloop listen --server HOST:50051 --ca {CA_CERTIFICATE} "
            f"--certificate {certificate.name} --key {key.name}"
        )
