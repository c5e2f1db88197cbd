"""Which values a label may have: the first so many that come. A device can say anything of its kind."""

import fcntl
import re
from pathlib import Path
from typing import Final

import structlog

from voxloop_proto.metrics.instruments import OTHER

MOST_KINDS: Final = 20
_log = structlog.get_logger("voxloop.metrics")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,128}", re.ASCII)


class LabelBook:
    """The values of one label in use, at most `most` of them; every other one is "other".

    file: shared by workers, a value a line, so that all of them have the same ones; none for a process by itself. Read
    only when a value is new here, and never again once it is full. If it cannot be, what is new is "other".
    """

    def __init__(self, most: int = MOST_KINDS, file: Path | None = None) -> None:
        self._most = most
        self._file = file
        self._known: set[str] = set()
        self._is_faulty = False

    def value(self, said: str) -> str:
        """The value, or "other" if there is no room for it, or it is no plain name."""
        if said in self._known:
            return said
        if len(self._known) >= self._most or not _PLAIN.fullmatch(said):
            return OTHER
        if self._file is None:
            self._known.add(said)
        else:
            self._share(self._file, said)
        return said if said in self._known else OTHER

    def _share(self, file: Path, said: str) -> None:
        try:
            self._known = self._enter(file, said)
        except OSError as error:  # a full disk is no reason to fail at the segment that is counted
            if not self._is_faulty:
                _log.error("labels.not_shared", file=str(file), error=error.strerror, hint="new ones count as 'other'")
            self._is_faulty = True

    def _enter(self, file: Path, said: str) -> set[str]:
        """All workers' values, with this one if there is room."""
        with file.open("a+", encoding="ascii") as book:
            fcntl.flock(book, fcntl.LOCK_EX)
            book.seek(0)
            known = set(book.read().split())
            if said not in known and len(known) < self._most:
                book.write(f"{said}\n")
                known.add(said)
        return known
