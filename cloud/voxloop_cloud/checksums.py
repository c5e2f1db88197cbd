"""SHA256SUMS: which files a bundle has, and that they are whole. `sha256sum -c` reads it, too."""

import hashlib
import re
from pathlib import Path

from voxloop_proto.errors import ContractError

CHECKSUM_FILE = "SHA256SUMS"
_LINE = re.compile(r"^(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)$")
_RENEW = "fetch or export the bundle again"


def write_checksums(path: Path) -> None:
    """Writes SHA256SUMS over all other files of a folder."""
    names = sorted(entry.name for entry in path.iterdir() if entry.name != CHECKSUM_FILE)
    lines = [f"{sha256_of(path / name)}  {name}\n" for name in names]
    (path / CHECKSUM_FILE).write_text("".join(lines), encoding="utf-8")


def verify_checksums(path: Path) -> frozenset[str]:
    """The names of a folder's files, once each is found to be listed in SHA256SUMS and unchanged.

    Raises ContractError that names the file.
    """
    present = _plain_files(path)
    if CHECKSUM_FILE not in present:
        raise ContractError(f"{path} has no {CHECKSUM_FILE}, so that nothing in it can be trusted; {_RENEW}")
    listed = _read(path / CHECKSUM_FILE)
    for name in sorted(listed.keys() - present):
        raise ContractError(f"{path} lacks {name}, which {CHECKSUM_FILE} lists; {_RENEW}")
    for name in sorted(present - listed.keys() - {CHECKSUM_FILE}):
        raise ContractError(f"{path} has {name}, which {CHECKSUM_FILE} does not list; remove it, or {_RENEW}")
    for name, digest in sorted(listed.items()):
        found = sha256_of(path / name)
        if found != digest:
            raise ContractError(f"{path / name} has the SHA-256 {found}; {CHECKSUM_FILE} promises {digest}; {_RENEW}")
    return frozenset(present)


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _plain_files(path: Path) -> set[str]:
    if not path.is_dir():
        raise ContractError(f"{path} is not a folder; a bundle is one, with a {CHECKSUM_FILE}; give another path")
    for entry in sorted(path.iterdir()):
        if entry.is_symlink() or not entry.is_file():
            kind = "a symbolic link" if entry.is_symlink() else "no plain file"
            raise ContractError(f"{entry} is {kind}; a bundle holds plain files only; replace it by one")
    return {entry.name for entry in path.iterdir()}


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ContractError(f"{file} is not text ({error}); {_RENEW}") from error
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.match(line)
        if match is None:
            raise ContractError(f"{file}, line {number}, is {line!r}; allowed is '<64 hex digits>  <file>'; {_RENEW}")
        name = match["name"]
        if "/" in name or "\\" in name or name in (".", "..", CHECKSUM_FILE):
            raise ContractError(
                f"{file}, line {number}, names {name!r}; allowed are files right in the bundle; {_RENEW}"
            )
        if name in listed:
            raise ContractError(f"{file}, line {number}, names {name!r} a second time; {_RENEW}")
        listed[name] = match["digest"]
    return listed
