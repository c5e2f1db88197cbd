"""`voxloop certificates`: one command, what it makes, and what it leaves alone."""

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from voxloop_cloud.security.tls import TlsConfig, open_credentials
from voxloop_proto.cli import app

CONFIG = 2


def certificates(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["certificates", *map(str, arguments)])


def names_in(file: Path) -> list[str]:
    found = x509.load_pem_x509_certificate(file.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName) + [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]


def test_one_command_makes_all_that_serve_needs_and_says_what_next(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    result = certificates(folder, "--host", "speech.example.org", "--host", "10.0.0.7")
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert names_in(folder / "server.pem") == ["speech.example.org", "localhost", "10.0.0.7", "127.0.0.1", "::1"]
    assert open_credentials(TlsConfig(certificate=folder / "server.pem", key=folder / "server.key"))
    assert f"voxloop serve --certificate {folder / 'server.pem'} --key {folder / 'server.key'}" in result.stdout
    assert "voxloop listen --server HOST:50051 --ca ca.pem" in result.stdout


def test_devices_are_added_with_the_same_ca_and_nothing_is_overwritten(tmp_path: Path) -> None:
    assert certificates(tmp_path).exit_code == 0
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.[pk]e[my]")}
    assert certificates(tmp_path, "--device", "kitchen", "--device", "hall").exit_code == 0
    authority = x509.load_pem_x509_certificate(before["ca.pem"])
    for device_id in ("kitchen", "hall"):
        found = x509.load_pem_x509_certificate((tmp_path / f"device-{device_id}.pem").read_bytes())
        found.verify_directly_issued_by(authority)
    for arguments in ((), ("--host", "x.example.org"), ("--device", "hall")):
        result = certificates(tmp_path, *arguments)
        assert result.exit_code == CONFIG
        assert "is there already and is not overwritten" in result.stderr
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_server_s_certificate_is_renewed_by_removing_it(tmp_path: Path) -> None:
    certificates(tmp_path)
    before = (tmp_path / "ca.pem").read_bytes()
    for name in ("server.pem", "server.key"):
        (tmp_path / name).unlink()
    assert certificates(tmp_path, "--host", "new.example.org").exit_code == 0
    assert "new.example.org" in names_in(tmp_path / "server.pem")
    assert (tmp_path / "ca.pem").read_bytes() == before


@pytest.mark.parametrize("damaged", ["ca.pem", "ca.key"])
def test_a_ca_that_cannot_be_used_is_named_and_not_replaced(tmp_path: Path, damaged: str) -> None:
    certificates(tmp_path)
    (tmp_path / damaged).write_text("no")
    result = certificates(tmp_path, "--device", "kitchen")
    assert result.exit_code == CONFIG
    assert "is no PEM file of a CA" in result.stderr
    (tmp_path / damaged).unlink()
    result = certificates(tmp_path, "--device", "kitchen")
    assert result.exit_code == CONFIG
    assert "cannot read the CA" in result.stderr
    assert not (tmp_path / damaged).exists()


@pytest.mark.parametrize("arguments", [("--host", "not a host"), ("--device", "../kitchen")])
def test_a_name_that_cannot_be_leaves_a_folder_that_goes_on(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert certificates(tmp_path, *arguments).exit_code == CONFIG
    assert not list(tmp_path.glob("*kitchen*"))
    done = certificates(tmp_path, "--device", "kitchen")
    assert done.exit_code == 0, done.output


def test_what_is_made_is_told_to_the_audit_log(tmp_path: Path) -> None:
    certificates(tmp_path, "--device", "kitchen")
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["action"] for line in lines] == ["certificate.ca", "certificate.server", "certificate.device"]
    assert lines[2]["device_id"] == "kitchen"
    keys = [file.read_text().splitlines()[1] for file in tmp_path.glob("*.key")]
    assert not any(key in (tmp_path / "audit.jsonl").read_text() for key in keys)
