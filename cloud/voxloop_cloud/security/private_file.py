"""Files for one pair of eyes: written whole or not at all, and readable by their owner alone."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from voxloop_proto.errors import ConfigError

PRIVATE_MODE = 0o600


def write_new(file: Path, content: bytes, mode: int = PRIVATE_MODE) -> None:
    """Writes a file that is not there yet. Raises ConfigError if it is, or cannot be written."""
    try:
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ConfigError(f"{file} is there already and is not overwritten; remove it first, or name another") from None
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from error
    with os.fdopen(number, "wb") as out:
        os.fchmod(out.fileno(), mode)  # whatever the umask
        out.write(content)


def replace(file: Path, content: bytes) -> None:
    """Writes a file, new or anew: a reader sees the old or the new one, whole, also after a power cut."""
    number, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made with mode 0600
    try:
        with os.fdopen(number, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(file.parent)


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """One process at a time, by a lock file beside the file; ends with the process, however that ends."""
    with open(file.with_name(f"{file.name}.lock"), "ab", opener=_open_private) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_MODE)


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
