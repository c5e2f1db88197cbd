"""Keeps segments on disk until they are answered: a folder for each session, a file for each segment.

    DIR/lock                                     one owner at a time
    DIR/00000007-SESSION/hello                   the session's Hello, its resume token included
    DIR/00000007-SESSION/00000012-4800.segment   segment 12, of 4,800 samples
    DIR/00000007-SESSION/00000013-1600.given     segment 13, whose text the device has had from itself

A file is written under another name, synced, renamed, and its folder synced: after a power cut it is whole, or not
there. Names say all that must be known to count, so opening a spool reads no sound.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from voxloop_edge.disk import UNFINISHED, Disk, RealDisk, write_durably
from voxloop_edge.spool_config import DropRule
from voxloop_edge.spool_record import pack, unpack
from voxloop_proto.errors import DataError
from voxloop_proto.v1 import voxloop_pb2 as pb

_SESSION: Final = re.compile(r"(\d{8})-([A-Za-z0-9._-]{1,64})")
_SEGMENT: Final = re.compile(r"(\d{8,20})-(\d+)\.(segment|given)")
_HELLO: Final = "hello"


@dataclass(frozen=True, slots=True)
class SpooledSegment:
    """A segment on disk. is_given: its text was had from the device itself; the cloud has not seen it yet."""

    session: str
    segment_id: int
    samples: int
    size_bytes: int
    is_given: bool = False

    @property
    def file_name(self) -> str:
        """Its name in its session's folder."""
        return f"{self.segment_id:08d}-{self.samples}.{'given' if self.is_given else 'segment'}"


@dataclass(frozen=True, slots=True)
class Stored:
    """What came of keeping a segment: whether it is durable, what had to give way, and what the disk refused with."""

    is_kept: bool
    dropped: tuple[SpooledSegment, ...] = ()
    error: OSError | None = None


class Spool:
    """All sessions in one folder, at most max_bytes of segments. Not for two threads at once.

    All but `keep`, which tells it, may raise OSError; what was kept before stays kept.
    """

    def __init__(self, folder: Path, max_bytes: int, when_full: DropRule, disk: Disk | None = None) -> None:
        """Opens a spool, making its folder; finds what an earlier owner left, and clears away what was cut off."""
        self.torn_files = 0
        self.size_bytes = 0
        self._folder = folder
        self._max_bytes = max_bytes
        self._when_full = when_full
        self._disk = disk or RealDisk()
        self._folders: dict[str, Path] = {}
        self._segments: dict[tuple[str, int], SpooledSegment] = {}  # in the order of speech
        self._next_number = 1
        self._disk.make_folder(folder)
        for name in self._disk.names(folder):
            if found := _SESSION.fullmatch(name):
                self._next_number = max(self._next_number, int(found[1]) + 1)
                self._find_session(found[2], folder / name)

    def sessions(self) -> list[str]:
        """The sessions that there are, the oldest first."""
        return list(self._folders)

    def segments(self, session: str) -> list[SpooledSegment]:
        """What is kept of a session, in the order of speech."""
        return [segment for segment in self._segments.values() if segment.session == session]

    def __len__(self) -> int:
        """Segments kept, in all sessions."""
        return len(self._segments)

    def keep_hello(self, session: str, hello: pb.Hello) -> None:
        """Keeps how a session is opened, or opened again; the folder of a new one is made."""
        folder = self._folders.get(session)
        if folder is None:
            folder = self._folder / f"{self._next_number:08d}-{session}"
            self._disk.make_folder(folder)
            self._disk.sync_folder(self._folder)
        write_durably(self._disk, folder / _HELLO, pack([pb.RecognizeRequest(hello=hello)]))
        if session not in self._folders:
            self._folders[session] = folder
            self._next_number += 1

    def hello(self, session: str) -> pb.Hello:
        """How a session is opened. Raises DataError if its file is damaged."""
        folder = self._folders[session]
        return _unpack(folder / _HELLO, self._disk)[0].hello

    def keep(self, session: str, messages: list[pb.RecognizeRequest]) -> Stored:
        """Keeps a whole segment of a session whose Hello is kept: durable when this returns with is_kept."""
        start, end = messages[0].segment_start, messages[-1].segment_end
        data = pack(messages)
        segment = SpooledSegment(session, start.segment_id, end.end_sample - start.start_sample, len(data))
        if len(data) > self._max_bytes:
            return Stored(False)
        if self.size_bytes + len(data) > self._max_bytes and self._when_full == "newest":
            return Stored(False)
        dropped: list[SpooledSegment] = []
        try:
            self._make_room(len(data), dropped)
            write_durably(self._disk, self._file(segment), data)
        except OSError as error:
            return Stored(False, tuple(dropped), error)
        self._add(segment)
        return Stored(True, tuple(dropped))

    def load(self, session: str, segment_id: int) -> list[pb.RecognizeRequest]:
        """The messages of a segment that is kept. Raises DataError if its file is damaged."""
        return _unpack(self._file(self._segments[session, segment_id]), self._disk)

    def has(self, session: str, segment_id: int) -> bool:
        """Whether a segment is kept."""
        return (session, segment_id) in self._segments

    def is_given(self, session: str, segment_id: int) -> bool:
        """Whether the text of a segment that is kept was given."""
        segment = self._segments.get((session, segment_id))
        return segment is not None and segment.is_given

    def mark_given(self, session: str, segment_id: int) -> None:
        """Notes durably that a segment's text was given; it stays, to be uploaded."""
        segment = self._segments[session, segment_id]
        given = replace(segment, is_given=True)
        self._disk.rename(self._file(segment), self._file(given))
        self._segments[session, segment_id] = given
        self._disk.sync_folder(self._folders[session])

    def erase(self, session: str, segment_id: int) -> None:
        """Forgets a segment. One that is not (or no longer) here is no error."""
        segment = self._segments.get((session, segment_id))
        if segment is not None:
            self._disk.remove(self._file(segment))
            self._forget(segment)

    def close_session(self, session: str) -> None:
        """The session is over: forgets how it is opened, unless a segment of it is still here."""
        folder = self._folders.get(session)
        if folder is None or self.segments(session):
            return
        if _HELLO in self._disk.names(folder):
            self._disk.sync_folder(folder)  # else a power cut may bring a segment back, and not its Hello
            self._disk.remove(folder / _HELLO)
        self._disk.remove_folder(folder)
        del self._folders[session]

    def _make_room(self, needed_bytes: int, dropped: list[SpooledSegment]) -> None:
        while self.size_bytes + needed_bytes > self._max_bytes:
            oldest = next(iter(self._segments.values()))
            self._disk.remove(self._file(oldest))
            self._forget(oldest)
            dropped.append(oldest)

    def _find_session(self, session: str, folder: Path) -> None:
        names = self._disk.names(folder)
        for name in names:
            if name.endswith(UNFINISHED):
                self._disk.remove(folder / name)
                self.torn_files += name != _HELLO + UNFINISHED
        self._folders[session] = folder
        found = [(name, match) for name in names if (match := _SEGMENT.fullmatch(name))]
        for name, match in sorted(found, key=lambda pair: int(pair[1][1])):
            size_bytes = self._disk.size_bytes(folder / name)
            self._add(SpooledSegment(session, int(match[1]), int(match[2]), size_bytes, match[3] == "given"))
        self.close_session(session)

    def _file(self, segment: SpooledSegment) -> Path:
        return self._folders[segment.session] / segment.file_name

    def _add(self, segment: SpooledSegment) -> None:
        self._segments[segment.session, segment.segment_id] = segment
        self.size_bytes += segment.size_bytes

    def _forget(self, segment: SpooledSegment) -> None:
        del self._segments[segment.session, segment.segment_id]
        self.size_bytes -= segment.size_bytes


def _unpack(file: Path, disk: Disk) -> list[pb.RecognizeRequest]:
    try:
        messages = unpack(disk.read(file))
    except (FileNotFoundError, DataError) as error:
        raise DataError(f"{file}: {error}; it cannot be sent") from error
    if not messages:
        raise DataError(f"{file} holds nothing; it cannot be sent")
    return messages
