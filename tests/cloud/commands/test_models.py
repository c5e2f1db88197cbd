"""`voxloop models`: what is listed, verified, imported and fetched, and what is refused."""

import bz2
import hashlib
import io
import stat
import tarfile
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPMessage
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from voxloop_cloud import archive, download
from voxloop_cloud.bundle import Bundle, load_bundle
from voxloop_proto.cli import app
from voxloop_proto.errors import ConfigError, ContractError, UnavailableError

CONFIG, CONTRACT, UNAVAILABLE = 2, 3, 5
"""Exit codes."""

Pack = Callable[[Path, Path], None]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "store"


def voxloop(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def pack_tar(folder: Path, target: Path) -> None:
    with tarfile.open(target, "w:gz") as opened:
        opened.add(folder, arcname="some-bundle")


def pack_zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as opened:
        for file in folder.iterdir():
            opened.write(file, file.name)


def test_an_empty_store_is_said_to_be_empty(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = voxloop("list")
    assert result.exit_code == 0
    assert str(store) in result.output or "default" in result.output


def test_an_imported_bundle_is_listed_and_verified(bundle: Bundle, store: Path) -> None:
    assert "imported as voxloop-tiny-0.0.1" in voxloop("import", bundle.path).output
    assert "imported as other" in voxloop("import", bundle.path, "--name", "other").output
    assert load_bundle(store / "other").config == bundle.config
    listed = voxloop("list").output
    for shown in ("voxloop-tiny-0.0.1", "other", "0.0.1", "en", "yes", str(store)):
        assert shown in listed
    result = voxloop("verify", "other", bundle.path)
    assert result.exit_code == 0
    assert result.output.count("ok: voxloop-tiny 0.0.1") == 2


def test_a_name_that_is_taken_or_not_allowed_is_refused(bundle: Bundle, store: Path) -> None:
    voxloop("import", bundle.path)
    assert voxloop("import", bundle.path).exit_code == CONFIG
    for name in ("../evil", "default", ".hidden", "a/b", "a\n"):
        result = voxloop("import", bundle.path, "--name", name)
        assert result.exit_code == CONFIG
        assert "allowed are letters" in result.output
    assert [path.name for path in store.iterdir()] == ["voxloop-tiny-0.0.1"]


def test_a_broken_bundle_is_not_imported_and_is_listed_as_broken(own_bundle: Bundle, store: Path) -> None:
    voxloop("import", own_bundle.path, "--name", "good")
    (store / "good" / "tokens.txt").write_text("broken")
    assert "tokens.txt has the SHA-256" in voxloop("list").output
    (own_bundle.path / "tokens.txt").unlink()
    assert voxloop("import", own_bundle.path).exit_code == CONTRACT
    assert [path.name for path in store.iterdir()] == ["good"]
    result = voxloop("verify", own_bundle.path, "good")
    assert result.exit_code == CONTRACT
    assert "lacks tokens.txt" in result.output
    assert "tokens.txt has the SHA-256" in result.output


@pytest.mark.parametrize("pack", [pack_tar, pack_zip])
def test_a_fetched_bundle_is_imported(bundle: Bundle, tmp_path: Path, store: Path, pack: Pack) -> None:
    packed = tmp_path / "packed"
    pack(bundle.path, packed)
    result = voxloop("fetch", packed.as_uri(), "--sha256", sha256(packed).upper())
    assert result.exit_code == 0, result.output
    assert load_bundle(store / "voxloop-tiny-0.0.1").config == bundle.config
    assert [path.name for path in store.iterdir()] == ["voxloop-tiny-0.0.1"]


def test_another_checksum_is_an_error_and_nothing_is_unpacked(bundle: Bundle, tmp_path: Path, store: Path) -> None:
    packed = tmp_path / "packed"
    pack_tar(bundle.path, packed)
    result = voxloop("fetch", packed.as_uri(), "--sha256", "0" * 64)
    assert result.exit_code == CONTRACT
    assert f"has the SHA-256 {sha256(packed)}, expected was {'0' * 64}" in result.output
    assert list(store.iterdir()) == []


def test_addresses_and_checksums_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="scheme 'http'; allowed are https and file"):
        download.download("http://localhost/x", "0" * 64, tmp_path / "x")
    with pytest.raises(ConfigError, match="allowed are the 64 hex digits"):
        download.download("https://localhost/x", "12", tmp_path / "x")
    with pytest.raises(UnavailableError, match="cannot be fetched"):
        download.download((tmp_path / "nothing").as_uri(), "0" * 64, tmp_path / "x")


def test_a_redirect_away_from_https_is_refused() -> None:
    handler, request = download.HttpsOnly(), urllib.request.Request("https://example.org/a")
    followed = handler.redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), "https://example.org/b")
    assert followed is not None
    assert followed.full_url == "https://example.org/b"
    for target in ("http://example.org/b", "file:///etc/passwd"):
        with pytest.raises(ContractError, match="allowed is https only"):
            handler.redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), target)


def test_a_download_that_is_too_large_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"0" * 1000)
    with pytest.raises(ContractError, match="has more than 999 bytes"):
        download.download((tmp_path / "large").as_uri(), "0" * 64, tmp_path / "x", max_bytes=999)


def test_progress_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0" * 1000)
    told: list[tuple[int, int | None]] = []
    url, digest = (tmp_path / "file").as_uri(), sha256(tmp_path / "file")
    download.download(url, digest, tmp_path / "x", lambda done, total: told.append((done, total)))
    assert told == [(1000, 1000)]


def tar_of(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        for member in members:
            opened.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def zip_of(name: str, mode: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        opened.writestr(info, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar_of(member("/etc/evil")), "a path out of it"),
        (tar_of(member("a/../../evil")), "a path out of it"),
        (tar_of(member("c:evil")), "a path out of it"),
        (tar_of(member("link", tarfile.SYMTYPE, "/etc/passwd")), "is a link"),
        (tar_of(member("link", tarfile.LNKTYPE, "/etc/passwd")), "is a link"),
        (tar_of(member("device", tarfile.CHRTYPE)), "is a link, a device"),
        (tar_of(member("a"), member("a")), "has a twice"),
        (tar_of(member("a", size=2000)), "unpacks to more than"),
        (tar_of(*(member(str(number)) for number in range(5))), "unpacks to more than"),
        (tar_of(member("a")), "has 0 files named SHA256SUMS"),
        (tar_of(member("a/SHA256SUMS"), member("b/SHA256SUMS")), "has 2 files named SHA256SUMS"),
        (tar_of(member("a", size=900))[:-20], "is no whole"),
        (zip_of("../evil", stat.S_IFREG), "a path out of it"),
        (zip_of("link", stat.S_IFLNK), "is a link"),
        (b"hello", "is no whole .tar.gz, .tar.bz2 or .zip"),
        (b"", "is no whole .tar.gz, .tar.bz2 or .zip"),
        (bz2.compress(tar_of(member("a", size=900)))[:-20], "is no whole .tar.gz, .tar.bz2 or .zip"),
        (b"BZh9" + b"x" * 900, "is no whole .tar.gz, .tar.bz2 or .zip"),
        (tar_of(member("a/tokens.txt"), member("b/tokens.txt")), "has 2 files named tokens.txt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "archive",  # its bytes hold the second that it was made in
)
def test_an_archive_that_is_broken_or_means_harm_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    monkeypatch.setattr(archive, "MAX_FILES", 4)
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(ContractError, match=message):
        archive.unpack(tmp_path / "archive", tmp_path / "unpacked")
    assert not (tmp_path / "evil").exists()
