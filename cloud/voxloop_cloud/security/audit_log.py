"""Who did what, when: one JSON object a line, in a file that cannot grow without bound. Never holds a secret."""

import getpass
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from voxloop_cloud.security.private_file import PRIVATE_MODE, locked
from voxloop_cloud.security.rate_limit import Bucket

AUDIT_FILE = "audit.jsonl"
MAX_FILE_BYTES = 10 << 20
KEPT_FILES = 5
"""The file and those before it (audit.jsonl.1 is the newest of these): at most 60 MiB in all."""

MAX_REFUSALS_PER_MINUTE = 120
MAX_FIELD_CHARACTERS = 300
_log = structlog.get_logger("voxloop.audit")


class AuditLog:
    """Appends to a file that several processes may share. A full disk is told in the server's log and stops nothing."""

    def __init__(
        self, file: Path, max_bytes: int = MAX_FILE_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._clock = clock
        self._refusals = Bucket(MAX_REFUSALS_PER_MINUTE, MAX_REFUSALS_PER_MINUTE, clock())
        self._untold = 0

    def record(self, action: str, **fields: str) -> None:
        """Writes what this machine's user did."""
        self._write({"action": action, "who": _user(), **fields}, durable=True)

    def refuse(self, method: str, why: str, peer: str, device_id: str = "") -> None:
        """Writes that a call was refused. Beyond 120 a minute they are counted, and the count is told with the next."""
        self._refusals.fill(self._clock())
        if self._refusals.wait_ms():
            self._untold += 1
            return
        self._refusals.spend(1)
        fields: dict[str, object] = {"action": "call.refused", "who": device_id, "peer": peer}
        fields |= {"method": method, "why": why, **({"more_untold": self._untold} if self._untold else {})}
        self._untold = 0
        self._write(fields, durable=False)

    def _write(self, fields: dict[str, object], durable: bool) -> None:
        entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields}
        line = json.dumps({key: _cut(value) for key, value in entry.items()}) + "\n"
        try:
            with locked(self._file):
                self._rotate(len(line))
                number = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_MODE)
                with os.fdopen(number, "ab") as out:
                    out.write(line.encode())
                    out.flush()
                    if durable:
                        os.fsync(out.fileno())
        except OSError as error:
            _log.error("audit.not_written", file=str(self._file), error=error.strerror)

    def _rotate(self, more_bytes: int) -> None:
        if not self._file.exists() or self._file.stat().st_size + more_bytes <= self._max_bytes:
            return
        for number in range(KEPT_FILES, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                os.replace(older, self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._file.with_name(f"{self._file.name}.{number}") if number else self._file


def open_audit_log(file: Path | None, tokens: Path | None) -> AuditLog | None:
    """The log in this file; if none is named, in AUDIT_FILE beside the tokens; without either, none."""
    found = file or (tokens.with_name(AUDIT_FILE) if tokens else None)
    return AuditLog(found) if found else None


def _cut(value: object) -> object:
    return value[:MAX_FIELD_CHARACTERS] if isinstance(value, str) else value


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return f"uid {os.getuid()}"
