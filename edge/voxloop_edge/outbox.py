"""Keeps every segment until the cloud has answered it, so that a broken connection loses nothing."""

from dataclasses import dataclass, field

from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(slots=True)
class PendingSegment:
    """A segment without an answer.

    written: how many of its messages went out on the present connection.
    end_first_written_s, end_written_s: when its end went out, ever and on the present connection.
    """

    messages: list[pb.RecognizeRequest] = field(default_factory=list)
    size_bytes: int = 0
    written: int = 0
    end_first_written_s: float | None = None
    end_written_s: float | None = None

    @property
    def end(self) -> pb.SegmentEnd | None:
        """The segment's last message, once there is one."""
        last = self.messages[-1]
        return last.segment_end if last.HasField("segment_end") else None


class Outbox:
    """Unanswered segments in the order of speech, with a mark of what the present connection has carried.

    Bound: max_bytes over all segments. When full, `is_full` is true and the owner must wait before adding the next
    segment; a segment that has begun may always be completed, so the true bound is max_bytes plus one segment.
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
        """Bytes of all messages held."""
        return self._size_bytes

    def add(self, message: pb.RecognizeRequest) -> None:
        """Takes a segment's next message. Messages of a segment that was settled early (it failed) are dropped."""
        segment_id = _segment_id(message)
        if segment_id == self._dropping:
            return
        pending = self._pending.setdefault(segment_id, PendingSegment())
        pending.messages.append(message)
        pending.size_bytes += message.ByteSize()
        self._size_bytes += message.ByteSize()

    def next_message(self) -> pb.RecognizeRequest | None:
        """The first message that the present connection has not carried; None if it has carried all."""
        for pending in self._pending.values():
            if pending.written < len(pending.messages):
                pending.written += 1
                return pending.messages[pending.written - 1]
        return None

    @property
    def has_unwritten(self) -> bool:
        """True if `next_message` would give one."""
        return any(pending.written < len(pending.messages) for pending in self._pending.values())

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
        if pending.end is None:
            self._dropping = segment_id
        return pending

    def oldest_end_s(self) -> float | None:
        """When the longest-waiting segment's end went out on this connection; None if none waits for an answer."""
        ends = [pending.end_written_s for pending in self._pending.values() if pending.end_written_s is not None]
        return min(ends, default=None)


def _segment_id(message: pb.RecognizeRequest) -> int:
    match message.WhichOneof("payload"):
        case "segment_start":
            return message.segment_start.segment_id
        case "audio":
            return message.audio.segment_id
        case _:
            return message.segment_end.segment_id
