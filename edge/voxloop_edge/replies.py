"""What a session tells its owner."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from voxloop_proto.errors import VoxloopError
from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(frozen=True, slots=True)
class HypothesisArrived:
    """Text of a segment that is still being spoken."""

    segment_id: int
    text: str
    stable_characters: int


@dataclass(frozen=True, slots=True, eq=False)
class TranscriptArrived:
    """Final text of a segment.

    latency_ms: from the sending of the segment's end to the arrival of this transcript.
    user_latency_ms: the same from the last voiced sample, so with the silence that the device waited for.
    session: under which its segment is counted, in the spool and in the journal.
    """

    transcript: pb.Transcript
    start_sample: int
    end: pb.SegmentEnd
    latency_ms: float
    user_latency_ms: float
    session: str = ""


@dataclass(frozen=True, slots=True)
class SegmentFailed:
    """A segment that the cloud could not transcribe, and will not if asked again."""

    segment_id: int
    error: VoxloopError


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The connection is there, or gone for now (then `reason` says why)."""

    is_open: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HotwordsIgnored:
    """The server opened the session, but its hotwords have no effect: its bundle, or the server itself, knows none."""


StoreName: TypeAlias = Literal["spool", "journal"]


@dataclass(frozen=True, slots=True)
class SegmentDropped:
    """A segment that will never be answered: there was no more room for it, or its file was damaged."""

    session: str
    segment_id: int
    samples: int
    reason: str


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """The spool or the journal works again, or does not for now (then `reason` says why)."""

    store: StoreName
    works: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TornFound:
    """Something was cut off while it was written, and has been cleared away: it was never promised."""

    store: StoreName
    count: int


@dataclass(frozen=True, slots=True)
class SegmentsLeft:
    """At the end the server is away: so many segments stay in the spool, to be sent next time."""

    count: int


@dataclass(frozen=True, slots=True)
class FallbackChanged:
    """The device's own server gives text while the cloud is away, or no longer does (`reason`: what went wrong)."""

    works: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SessionStuck:
    """The server refuses a session of an earlier run; its segments stay in the spool."""

    session: str
    segments: int
    error: VoxloopError


Reply: TypeAlias = (
    HypothesisArrived
    | TranscriptArrived
    | SegmentFailed
    | LinkChanged
    | HotwordsIgnored
    | SegmentDropped
    | StoreChanged
    | TornFound
    | SegmentsLeft
    | FallbackChanged
    | SessionStuck
)
