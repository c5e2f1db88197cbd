"""Whose turn it is: of several processes that were forked from one, a single one evaluates."""

import fcntl
import tempfile


class Turn:
    """Made before the fork, and asked after it. Who has the turn keeps it until its process ends, however that ends.

    A record lock (lockf) on a file without a name: it belongs to a process, not to the file's inherited descriptor.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open for as long as the process lives)

    def take(self) -> bool:
        """True if this process has the turn, now or already; returns at once."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Lets another process have the turn."""
        self._file.close()
