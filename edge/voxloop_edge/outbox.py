"""Keeps every segment until the cloud has answered it, so that a broken connection loses nothing."""

from dataclasses import dataclass, field

from voxloop_edge.spool import SpooledSegment
from voxloop_edge.spool_config import DropRule
from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(slots=True)
class PendingSegment:
    """A segment without an answer.

    messages: empty while it is parked: on disk alone.
    is_durable: it is on disk, too. is_evicted: it was, and had to give way; only sending it can save it now.
    written: how many of its messages went out on the present connection.
    end_first_written_s, end_written_s: when its end went out, ever and on the present connection.
    ended_s: when its end was taken. held_samples: sound heard after the end, until then.
    is_tried: the device's own server has had it. is_given: and its text was given.
    """

    segment_id: int
    start_sample: int = 0
    end: pb.SegmentEnd | None = None
    messages: list[pb.RecognizeRequest] = field(default_factory=list)
    size_bytes: int = 0
    is_durable: bool = False
    is_evicted: bool = False
    written: int = 0
    end_first_written_s: float | None = None
    end_written_s: float | None = None
    ended_s: float | None = None
    held_samples: int = 0
    is_tried: bool = False
    is_given: bool = False

    @property
    def is_parked(self) -> bool:
        """True while its sound is on disk alone."""
        return not self.messages

    @property
    def is_written(self) -> bool:
        """True if the present connection has carried all that there is of it."""
        return not self.is_parked and self.written == len(self.messages)

    @property
    def samples(self) -> int:
        """Its length, once it has ended."""
        return self.end.end_sample - self.start_sample if self.end else 0


class Outbox:
    """Unanswered segments in the order of speech, with a mark of what the present connection has carried.

    Bound: max_bytes of messages in memory. When full, `is_full` is true and the owner must wait before adding the next
    segment, or `park` what is durable and `drop` what is not; a segment that has begun may always be completed, so the
    true bound is max_bytes plus one segment, and one more that was fetched back.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pending: dict[int, PendingSegment] = {}
        self._size_bytes = 0
        self._dropping: int | None = None

    def __len__(self) -> int:
        """Segments that have no answer."""
        return len(self._pending)

    @property
    def is_full(self) -> bool:
        """True while the next segment must wait."""
        return self._size_bytes >= self._max_bytes

    @property
    def size_bytes(self) -> int:
        """Bytes of all messages in memory."""
        return self._size_bytes

    def add(self, message: pb.RecognizeRequest) -> None:
        """Takes a segment's next message. Messages of a segment that was settled early (it failed) are dropped."""
        segment_id = _segment_id(message)
        if segment_id == self._dropping:
            return
        pending = self._pending.setdefault(segment_id, PendingSegment(segment_id))
        if message.HasField("segment_start"):
            pending.start_sample = message.segment_start.start_sample
        elif message.HasField("segment_end"):
            pending.end = message.segment_end
        self._hold(pending, [message])

    def add_parked(self, segment: SpooledSegment) -> None:
        """Takes a segment that is on disk alone, from an earlier run; after all that are here."""
        self._pending[segment.segment_id] = PendingSegment(segment.segment_id, is_durable=True)

    def pending(self, segment_id: int) -> PendingSegment | None:
        """A segment that is here; None if it is answered."""
        return self._pending.get(segment_id)

    def next_message(self) -> pb.RecognizeRequest | None:
        """The first message that the present connection has not carried; None if it has carried all, or must fetch."""
        pending = self._unwritten()
        if pending is None or pending.is_parked:
            return None
        pending.written += 1
        return pending.messages[pending.written - 1]

    def next_parked(self) -> int | None:
        """The segment that must be fetched from disk before anything else goes out."""
        pending = self._unwritten()
        return pending.segment_id if pending is not None and pending.is_parked else None

    @property
    def has_unwritten(self) -> bool:
        """True if there is a message to send or to fetch."""
        return self._unwritten() is not None

    @property
    def has_room_to_fetch(self) -> bool:
        """False while answers will make room: what was fetched is let go of when it is answered."""
        return not self.is_full or self.oldest_end_s() is None

    def unsafe(self) -> list[PendingSegment]:
        """Segments that have ended and are in memory alone, in the order of speech."""
        return [pending for pending in self._pending.values() if pending.end and not pending.is_durable]

    def to_keep(self) -> list[PendingSegment]:
        """Those of them that are to go to disk."""
        return [pending for pending in self.unsafe() if not pending.is_evicted]

    def leave_disk(self, segment_id: int) -> bool:
        """A segment had to leave the disk: forgets it unless it is under way or answered; True if it is not lost."""
        pending = self._pending.get(segment_id)
        if pending is None:
            return True
        if not pending.written:
            self.settle(segment_id)
            return False
        pending.is_durable, pending.is_evicted = False, True
        return True

    def unpark(self, segment_id: int, messages: list[pb.RecognizeRequest]) -> None:
        """A parked segment was fetched."""
        pending = self._pending.get(segment_id)
        if pending is not None and pending.is_parked:
            pending.start_sample = messages[0].segment_start.start_sample
            pending.end = messages[-1].segment_end
            self._hold(pending, messages)

    def park(self) -> None:
        """While there is too much in memory: lets go of what is durable and not under way, the newest first."""
        for pending in reversed(self._pending.values()):
            if self._size_bytes < self._max_bytes:
                return
            if pending.is_durable and not pending.written:
                self._size_bytes -= pending.size_bytes
                pending.messages, pending.size_bytes = [], 0

    def drop(self, rule: DropRule) -> PendingSegment | None:
        """While there is too much in memory: forgets a whole segment that is not under way, and gives it."""
        if not self.is_full:
            return None
        loose = [p for p in self._pending.values() if p.end and not p.is_parked and not p.written]
        return self.settle(loose[0 if rule == "oldest" else -1].segment_id) if loose else None

    def end_taken(self, segment_id: int, now_s: float, held_samples: int = 0) -> None:
        """Notes when a segment ended. held_samples: as in SegmentEnded."""
        if (pending := self._pending.get(segment_id)) is not None:
            pending.ended_s, pending.held_samples = now_s, held_samples

    def untried(self) -> PendingSegment | None:
        """The first segment that has ended and that the device's own server has not had."""
        return next((p for p in self._pending.values() if p.ended_s is not None and not p.is_tried), None)

    def end_written(self, segment_id: int, now_s: float) -> None:
        """Notes when a segment's end went out."""
        pending = self._pending.get(segment_id)
        if pending is None:
            return
        pending.end_written_s = now_s
        if pending.end_first_written_s is None:
            pending.end_first_written_s = now_s

    def rewind(self) -> None:
        """A new connection: all that is unanswered goes out again from its start."""
        for pending in self._pending.values():
            pending.written = 0
            pending.end_written_s = None

    def settle(self, segment_id: int) -> PendingSegment | None:
        """The segment is answered: forgets it. None if it is not (or no longer) here, as with a second answer."""
        pending = self._pending.pop(segment_id, None)
        if pending is None:
            return None
        self._size_bytes -= pending.size_bytes
        if pending.end is None and not pending.is_durable:
            self._dropping = segment_id
        return pending

    def oldest_end_s(self) -> float | None:
        """When the longest-waiting segment's end went out on this connection; None if none waits for an answer."""
        ends = [pending.end_written_s for pending in self._pending.values() if pending.end_written_s is not None]
        return min(ends, default=None)

    def _unwritten(self) -> PendingSegment | None:
        return next((pending for pending in self._pending.values() if not pending.is_written), None)

    def _hold(self, pending: PendingSegment, messages: list[pb.RecognizeRequest]) -> None:
        size_bytes = sum(message.ByteSize() for message in messages)
        pending.messages += messages
        pending.size_bytes += size_bytes
        self._size_bytes += size_bytes


def _segment_id(message: pb.RecognizeRequest) -> int:
    match message.WhichOneof("payload"):
        case "segment_start":
            return message.segment_start.segment_id
        case "audio":
            return message.audio.segment_id
        case _:
            return message.segment_end.segment_id
