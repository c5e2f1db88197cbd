"""One owner for a folder: the system itself lets go of the lock when the owner's process ends, however it ends."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from voxloop_edge.disk import FILE_MODE
from voxloop_proto.errors import ConfigError

LOCK_FILE: Final = "lock"


class FolderLock:
    """Held from its making to `release`.

    Raises ConfigError, which names the owner, if another process holds it, and OSError if there can be none.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise ConfigError(
                f"spool {folder} is in use by process {owner}; end that one, or name another folder with --spool"
            ) from None
        with suppress(OSError):  # a full disk: the lock holds, only its owner's number is not told
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets another have the folder."""
        os.close(self._descriptor)
