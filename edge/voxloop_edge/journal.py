"""What became of every segment, a line each, in a file that a power cut does not harm."""

import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from voxloop_edge.disk import FILE_MODE, RealDisk, write_all
from voxloop_proto.errors import ConfigError

Outcome = Literal["transcript", "failed", "lost", "superseding"]
_TAIL_BYTES = 64 << 10
LOCAL_ROUTE = "local"
_BEGINNING = b'{"session": "'


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One segment's end. text: what was said, or why it is not known. Times are samples of the session's clock.

    superseding: the cloud's text of a segment whose transcript was the device's own; a second line, and the last one.
    """

    session: str
    segment: int
    outcome: Outcome
    text: str
    start_sample: int
    end_sample: int
    confidence: float = 0.0
    route: str = ""
    bundle: str = ""

    @property
    def is_local(self) -> bool:
        """True for a text of the device's own, which the cloud's may supersede."""
        return self.outcome == "transcript" and self.route == LOCAL_ROUTE


class Journal:
    """Appends lines, each on the disk before `add` returns; each (session, segment) at most once, but for the cloud's
    text where the device's own came first.

    sessions: those of which lines may come again, as they are not over: what the file says of them is remembered, so
    memory does not grow with the file. A last line that was cut off is taken away. Not for two threads at once.

    Raises ConfigError if the file cannot be written, or another process writes it.
    """

    def __init__(self, file: Path, sessions: Iterable[str] = ()) -> None:
        self.torn_bytes = 0
        self._file = file
        with ExitStack() as undo:
            self._open(file, frozenset(sessions), undo)
            undo.pop_all()

    def _open(self, file: Path, sessions: frozenset[str], undo: ExitStack) -> None:
        try:
            is_new = not file.exists()
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, FILE_MODE)
            undo.callback(os.close, self._descriptor)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_new:
                RealDisk().sync_folder(file.absolute().parent)
            self._known = self._read_known(sessions)
            self._cut_torn_tail()
        except BlockingIOError:
            raise ConfigError(f"{file} is written by another voxloop; name another with --transcripts") from None
        except OSError as error:
            raise ConfigError(f"cannot write transcripts to {file}: {error.strerror}; name another file") from error

    def has(self, session: str, segment_id: int) -> bool:
        """Whether the segment has its line."""
        return (session, segment_id) in self._known

    def add(self, line: JournalLine) -> bool:
        """Writes the line; False if the segment has one. Raises OSError; then nothing is written.

        A transcript of the cloud is written as superseding after a line of the device's own; that is not the first.
        """
        key = (line.session, line.segment)
        if not self.has(*key):
            self._append(line)
            self._known[key] = line.is_local
            return True
        if self._known[key] and line.outcome == "transcript" and not line.is_local:
            self._append(replace(line, outcome="superseding"))
            self._known[key] = False
        return False

    def _append(self, line: JournalLine) -> None:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = json.dumps({**asdict(line), "written": moment}, ensure_ascii=False).encode() + b"\n"
        before = os.fstat(self._descriptor).st_size
        try:
            write_all(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise

    def forget(self, session: str) -> None:
        """The session is over, and none of its segments will come again."""
        self._known = {key: is_local for key, is_local in self._known.items() if key[0] != session}

    def close(self) -> None:
        """Lets another process write the file."""
        os.close(self._descriptor)

    def _cut_torn_tail(self) -> None:
        size = os.fstat(self._descriptor).st_size
        end = size
        while end > 0:
            block = os.pread(self._descriptor, min(_TAIL_BYTES, end), max(0, end - _TAIL_BYTES))
            newline = block.rfind(b"\n")
            end = end - len(block) + newline + 1
            if newline >= 0:
                break
        self.torn_bytes = size - end
        if self.torn_bytes:
            os.ftruncate(self._descriptor, end)
            os.fsync(self._descriptor)

    def _read_known(self, sessions: frozenset[str]) -> dict[tuple[str, int], bool]:
        """Which segments have a line, and whether only one of the device's own.

        Raises ConfigError for a file that is no journal: its lines would be taken for nobody's.
        """
        known = {}
        with self._file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n") and line[: len(_BEGINNING)] == _BEGINNING[: len(line)]:
                    break  # cut off
                try:
                    found = json.loads(line)
                    key = (str(found["session"]), int(found["segment"]))
                except (ValueError, KeyError, TypeError):
                    raise ConfigError(
                        f"{self._file}, line {number} is none of a journal; name another file with --transcripts"
                    ) from None
                if key[0] in sessions:
                    known[key] = found.get("outcome") == "transcript" and found.get("route") == LOCAL_ROUTE
        return known
