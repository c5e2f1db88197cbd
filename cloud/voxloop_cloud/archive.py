"""Unpacks an archive of a bundle, or of a model that sherpa-onnx publishes, without trusting it."""

import errno
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from voxloop_cloud.bundle import TOKENS_FILE
from voxloop_cloud.checksums import CHECKSUM_FILE
from voxloop_proto.errors import ContractError

MAX_UNPACKED_BYTES = 4 * 2**30
MAX_FILES = 1000
_COPY_BYTES = 1 << 20

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a zip of a later version, or with a compression that Python lacks
    ValueError,  # numbers, names and times that cannot be
    IndexError,  # a zip with an entry of no name
    OverflowError,
    struct.error,
)
"""What the libraries raise of an archive that is broken, or not of their kind; gathered by fuzzing them."""

_ERRNOS_OF_CONTENT = (None, errno.EINVAL, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR)
"""Of an OSError that the archive's content is to blame for; None: bz2 has no error of its own for what is no bz2."""

_Entry = tuple[str, int, IO[bytes]]
"""Name, size and content of a plain file."""


def unpack(archive: Path, target: Path) -> Path:
    """Unpacks a .tar.gz, .tar.bz2 or .zip into a new folder; returns the one folder in it that has a SHA256SUMS, or, if
    none has, the one with a tokens.txt.

    Raises ContractError for an archive that is broken, too large, or has anything but plain files and folders.
    """
    target.mkdir()
    total_bytes = 0
    with _opened(archive) as entries:
        for count, (name, size_bytes, content) in enumerate(entries, start=1):
            total_bytes += size_bytes
            if total_bytes > MAX_UNPACKED_BYTES or count > MAX_FILES:
                raise ContractError(
                    f"{archive.name} unpacks to more than {MAX_FILES} files or {MAX_UNPACKED_BYTES} bytes, "
                    "the most allowed; it is no bundle, get another"
                )
            place = target / _safe(archive, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                shutil.copyfileobj(content, file, _COPY_BYTES)
    bundles = [found.parent for found in target.rglob(CHECKSUM_FILE)]
    roots = bundles or [found.parent for found in target.rglob(TOKENS_FILE)]
    if len(roots) != 1:
        name = CHECKSUM_FILE if bundles or not roots else TOKENS_FILE
        raise ContractError(
            f"{archive.name} has {len(roots)} files named {name}; a bundle has one {CHECKSUM_FILE}, a model as "
            f"sherpa-onnx publishes one {TOKENS_FILE}; get another archive"
        )
    return roots[0]


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Entry]]:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened_zip:
                yield _zip_entries(archive, opened_zip)
        else:
            with tarfile.open(archive, "r:*") as opened_tar:
                yield _tar_entries(archive, opened_tar)
    except _BROKEN as error:
        raise _not_whole(archive, error) from error
    except FileExistsError as error:
        raise ContractError(f"{archive.name} has {Path(error.filename).name} twice; get another archive") from error
    except OSError as error:
        if error.errno in _ERRNOS_OF_CONTENT:
            raise _not_whole(archive, error) from error
        raise


def _tar_entries(archive: Path, opened: tarfile.TarFile) -> Iterator[_Entry]:
    for member in opened:
        if member.isdir():
            continue
        content = opened.extractfile(member) if member.isreg() else None
        if content is None:
            raise _not_plain(archive, member.name)
        yield member.name, member.size, content


def _zip_entries(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Entry]:
    for member in opened.infolist():
        if member.is_dir():
            continue
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
            raise _not_plain(archive, member.filename)
        with opened.open(member) as content:
            yield member.filename, member.file_size, content


def _safe(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
        raise ContractError(f"{archive.name} has {name!r}, a path out of it; allowed are paths inside; do not use it")
    return path


def _not_whole(archive: Path, error: Exception) -> ContractError:
    said = str(error).partition(":\n")[0]  # tarfile tells of each format that it tried, in a line each
    return ContractError(f"{archive.name} is no whole .tar.gz, .tar.bz2 or .zip ({said}); fetch it again")


def _not_plain(archive: Path, name: str) -> ContractError:
    return ContractError(
        f"{archive.name} has {name!r}, which is a link, a device or encrypted; allowed are plain files; do not use it"
    )
