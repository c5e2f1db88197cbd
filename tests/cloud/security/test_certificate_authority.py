"""Certificates for development, and how the server takes its own: who may read them, how long they last, for what."""

import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from voxloop_cloud.security.certificate_authority import CertificateAuthority, device_files
from voxloop_cloud.security.tls import TlsConfig, open_credentials
from voxloop_proto.errors import ConfigError

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def authority() -> CertificateAuthority:
    return CertificateAuthority.make("a test's CA", NOW)


def issue_server(authority: CertificateAuthority, folder: Path, *hosts: str, now: datetime = NOW) -> TlsConfig:
    config = TlsConfig(certificate=folder / "server.pem", key=folder / "server.key")
    assert config.certificate is not None
    assert config.key is not None
    authority.issue_server(hosts or ("localhost",), config.certificate, config.key, now)
    return config


def load(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_keys_are_for_their_owner_alone_whatever_the_umask(authority: CertificateAuthority, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        authority.save(tmp_path)
        issue_server(authority, tmp_path)
        authority.issue_device("kitchen", *device_files(tmp_path, "kitchen"), NOW)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert {mode for name, mode in modes.items() if name.endswith(".key")} == {0o600}
    assert {mode for name, mode in modes.items() if name.endswith(".pem")} == {0o644}
    assert len(modes) == 6


def test_a_certificate_serves_one_end_and_signs_nothing(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.issue_device("kitchen", *device_files(tmp_path, "kitchen"), NOW)
    issue_server(authority, tmp_path, "speech.example.org", "10.0.0.7")
    device, server = load(tmp_path / "device-kitchen.pem"), load(tmp_path / "server.pem")
    purposes = [
        list(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) for found in (device, server)
    ]
    assert purposes == [[ExtendedKeyUsageOID.CLIENT_AUTH], [ExtendedKeyUsageOID.SERVER_AUTH]]
    for found in (device, server):
        assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert found.not_valid_after_utc - NOW == timedelta(days=397)
        found.verify_directly_issued_by(authority.certificate)
    assert device.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "kitchen"
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["speech.example.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]


def test_what_is_there_is_never_overwritten(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    issue_server(authority, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for again in (lambda: authority.save(tmp_path), lambda: issue_server(authority, tmp_path)):
        with pytest.raises(ConfigError, match="is there already and is not overwritten"):
            again()
    (tmp_path / "server.pem").unlink()
    with pytest.raises(ConfigError, match=r"server\.key is there already"):
        issue_server(authority, tmp_path)
    (tmp_path / "server.pem").write_bytes(before["server.pem"])
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_ca_goes_on_where_it_was(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    again = CertificateAuthority.load(tmp_path)
    again.issue_device("hall", *device_files(tmp_path, "hall"), NOW)
    load(tmp_path / "device-hall.pem").verify_directly_issued_by(authority.certificate)


@pytest.mark.parametrize("host", ["", "a b", "http://x", "x:1", "-x", "x/../y", "ü.example.org", "*"])
def test_a_host_that_cannot_be_is_refused_before_anything_is_written(
    authority: CertificateAuthority, tmp_path: Path, host: str
) -> None:
    with pytest.raises(ConfigError, match="allowed are names such as"):
        issue_server(authority, tmp_path, host)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device_id", ["", "../x", "a/b", "x" * 65, "a\n"])
def test_a_device_that_cannot_be_is_refused_before_anything_is_written(
    authority: CertificateAuthority, tmp_path: Path, device_id: str
) -> None:
    with pytest.raises(ConfigError, match="allowed are 1 to 64 letters"):
        authority.issue_device(device_id, tmp_path / "a.pem", tmp_path / "a.key", NOW)
    assert list(tmp_path.iterdir()) == []


def test_python_s_own_tls_takes_it_too(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    issue_server(authority, tmp_path)
    ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
        tmp_path / "server.pem", tmp_path / "server.key"
    )


def test_the_server_takes_a_pair_within_its_time(authority: CertificateAuthority, tmp_path: Path) -> None:
    config = issue_server(authority, tmp_path)
    assert open_credentials(config, NOW)
    for now, said in (
        (NOW + timedelta(days=398), "ended on 2027-07-03 12:00 UTC; make a new one"),
        (
            NOW - timedelta(days=1),
            "is valid from 2026-06-01 11:00 UTC on, and it is 2026-05-31 12:00; set this machine's",
        ),
    ):
        with pytest.raises(ConfigError, match=said):
            open_credentials(config, now)


def test_files_that_do_not_go_together_or_are_none_are_named(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    config = issue_server(authority, tmp_path)
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"-----BEGIN nothing")
    for changes, said in (
        ({"key": tmp_path / "ca.key"}, r"ca\.key is not that of the certificate"),
        ({"key": None}, r"there is no tls\.key \(--key FILE\)"),
        ({"certificate": None}, r"there is no tls\.certificate"),
        ({"key": garbage}, "garbage holds no PEM private key"),
        ({"certificate": garbage}, "garbage holds no PEM certificate"),
        ({"client_ca": garbage}, "garbage holds no PEM certificate"),
        ({"certificate": tmp_path / "none"}, r"cannot read tls\.certificate .*none: No such file"),
    ):
        with pytest.raises(ConfigError, match=said):
            open_credentials(config.model_copy(update=changes), NOW)
