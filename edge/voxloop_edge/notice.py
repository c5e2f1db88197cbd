"""What a user is told of a session, beside its text: a sentence each."""

from voxloop_edge.replies import (
    FallbackChanged,
    HotwordsIgnored,
    HypothesisArrived,
    LinkChanged,
    Reply,
    SegmentDropped,
    SegmentFailed,
    SegmentsLeft,
    SessionStuck,
    StoreChanged,
    TornFound,
    TranscriptArrived,
)
from voxloop_proto.audio import SAMPLE_RATE_HZ

_STORE = {"spool": "the spool", "journal": "the file of transcripts"}


def notice(reply: Reply) -> str:
    """The sentence for a reply; for text, the text."""
    match reply:
        case HypothesisArrived():
            return reply.text
        case TranscriptArrived():
            return reply.transcript.text
        case LinkChanged():
            return "connected" if reply.is_open else f"reconnecting ({reply.reason})"
        case HotwordsIgnored():
            return "this server's bundle takes no hotwords; they have no effect"
        case SegmentFailed():
            return f"segment {reply.segment_id} failed: {reply.error.message}"
        case _:
            return _of_survival(reply)


def _of_fallback(changed: FallbackChanged) -> str:
    if changed.works:
        return "the cloud is away; this device transcribes by itself, and uploads later"
    if changed.reason:
        return f"this device cannot transcribe by itself: {changed.reason}"
    return "the cloud transcribes again"


def _of_survival(
    reply: SegmentDropped | StoreChanged | TornFound | SegmentsLeft | FallbackChanged | SessionStuck,
) -> str:
    match reply:
        case FallbackChanged():
            return _of_fallback(reply)
        case SegmentDropped():
            return f"segment {reply.segment_id}, {reply.samples / SAMPLE_RATE_HZ:.1f} s, is lost: {reply.reason}"
        case StoreChanged():
            return _store(reply)
        case TornFound():
            return f"{_STORE[reply.store]} held {reply.count} unfinished, from a power cut; cleared away"
        case SegmentsLeft():
            return f"{reply.count} segments stay in the spool; the next 'voxloop listen' or 'voxloop upload' sends them"
        case SessionStuck():
            return f"{reply.segments} segments of session {reply.session} stay in the spool: {reply.error.message}"


def _store(changed: StoreChanged) -> str:
    name = _STORE[changed.store]
    if changed.works:
        return f"{name} works again"
    if changed.store == "journal":
        return f"{name} cannot be written ({changed.reason}); what has a spool is written by the next run: make room"
    return f"{name} cannot be used ({changed.reason}); speech is kept in memory alone: make room, or mend the folder"
