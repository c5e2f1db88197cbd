"""The last totals that devices and sessions told, by which a rise is known: of one process, or shared by workers."""

import hashlib
import sqlite3
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import structlog

MOST_REMEMBERED: Final = 10_000
"""The one that was silent for longest is forgotten first."""

Pair: TypeAlias = tuple[int, int]

_DIGEST_BYTES: Final = 16
_OPENING_S: Final = 5.0
_PATIENCE_MS: Final = 20
"""How long a heartbeat waits for another worker's; the event loop waits with it."""

_log = structlog.get_logger("voxloop.metrics")


class Totals(Protocol):
    """Remembers two totals by name. Names are kept as digests: an erased device leaves nothing here to be read."""

    def exchange(self, name: str, now: Pair) -> Pair | None:
        """Remembers the totals; those of before, None if nothing is remembered under this name."""
        ...


class OwnTotals:
    """Of one process."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[bytes, Pair] = OrderedDict()

    def exchange(self, name: str, now: Pair) -> Pair | None:
        """As Totals."""
        key = _digest(name)
        before = self._known.pop(key, None)
        self._known[key] = now
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return before


class SharedTotals:
    """Of all workers, in a file: who comes to another worker, or back, is known there.

    A file that cannot be used is told once; then every total counts as told before: nothing rises, and nobody fails.
    """

    def __init__(self, file: Path, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = _opened(file)
        except sqlite3.Error as error:
            self._give_up(error)

    def exchange(self, name: str, now: Pair) -> Pair | None:
        """As Totals."""
        if self._connection is None:
            return now
        try:
            return self._exchange(self._connection, _digest(name), now)
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.rollback()
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self._give_up(error)
            return now

    def _exchange(self, connection: sqlite3.Connection, key: bytes, now: Pair) -> Pair | None:
        connection.execute("BEGIN IMMEDIATE")
        before: Pair | None = connection.execute("SELECT one, other FROM totals WHERE key = ?", (key,)).fetchone()
        newest = connection.execute("INSERT OR REPLACE INTO totals VALUES (?, ?, ?)", (key, *now)).lastrowid or 0
        connection.execute("DELETE FROM totals WHERE rowid <= ?", (newest - self._most,))  # a new row has a new number
        connection.execute("COMMIT")
        return before

    def _give_up(self, error: sqlite3.Error) -> None:
        _log.error("totals.not_shared", error=str(error), hint="lost and dropped sound is not counted any more")
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_OPENING_S, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = TRUNCATE", "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE IF NOT EXISTS totals (key BLOB UNIQUE, one INTEGER, other INTEGER)")
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _digest(name: str) -> bytes:
    return hashlib.blake2s(name.encode(), digest_size=_DIGEST_BYTES, person=b"voxtotal").digest()
