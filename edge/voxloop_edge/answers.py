"""Takes what the cloud answers of segments: each is given once, and its sound forgotten after that."""

import time
from collections.abc import Callable

from voxloop_edge.journal import JournalLine
from voxloop_edge.outbox import Outbox, PendingSegment
from voxloop_edge.reconnection import Reconnection
from voxloop_edge.replies import HypothesisArrived, Reply, SegmentFailed, TranscriptArrived
from voxloop_edge.safekeeping import Safekeeping
from voxloop_proto.audio import samples_to_ms
from voxloop_proto.errors import from_failure
from voxloop_proto.v1 import voxloop_pb2 as pb


class Answers:
    """Of one session, which the spool and the journal know as `session`."""

    def __init__(
        self,
        session: str,
        outbox: Outbox,
        keeping: Safekeeping,
        reconnection: Reconnection,
        on_reply: Callable[[Reply], None],
    ) -> None:
        self._session = session
        self._outbox = outbox
        self._keeping = keeping
        self._reconnection = reconnection
        self._on_reply = on_reply

    async def take(self, response: pb.RecognizeResponse) -> None:
        """Takes a response other than Welcome. Raises the error of a Failure that concerns the session, or passes."""
        match response.WhichOneof("payload"):
            case "hypothesis":
                found = response.hypothesis
                self._on_reply(HypothesisArrived(found.segment_id, found.text, found.stable_characters))
            case "transcript":
                await self._settle(response.transcript)
            case "failure":
                await self._fail(response.failure)
            case _:
                pass  # Ack and Throttle ask nothing of a client that keeps all until the transcript

    async def _settle(self, transcript: pb.Transcript) -> None:
        pending = self._outbox.settle(transcript.segment_id)
        if pending is None or pending.end is None:
            return
        self._reconnection.answered()
        sent_s = pending.end_first_written_s or time.monotonic()
        latency_ms = (time.monotonic() - sent_s) * 1000.0
        is_new = await self._keeping.give(line_of(self._session, transcript, pending))
        if is_new and not pending.is_given:  # else it was given before this process began, or by the device itself
            self._on_reply(arrival_of(self._session, transcript, pending, latency_ms))

    async def _fail(self, failure: pb.Failure) -> None:
        error = from_failure(failure)
        if failure.segment_id == 0 or failure.retryable:
            raise error
        pending = self._outbox.settle(failure.segment_id)
        if pending is None:
            return
        self._reconnection.answered()
        end_sample = pending.end.end_sample if pending.end else pending.start_sample
        line = JournalLine(self._session, failure.segment_id, "failed", error.message, pending.start_sample, end_sample)
        if await self._keeping.give(line) and not pending.is_given:
            self._on_reply(SegmentFailed(failure.segment_id, error))


def arrival_of(session: str, transcript: pb.Transcript, pending: PendingSegment, latency_ms: float) -> Reply:
    """What the session's owner is told of a transcript."""
    assert pending.end is not None
    hang_over_ms = samples_to_ms(pending.end.end_sample + pending.held_samples - pending.end.last_voiced_sample)
    return TranscriptArrived(
        transcript, pending.start_sample, pending.end, latency_ms, latency_ms + hang_over_ms, session
    )


def line_of(session: str, transcript: pb.Transcript, pending: PendingSegment) -> JournalLine:
    """What the journal says of a transcript."""
    provenance = transcript.provenance
    assert pending.end is not None
    return JournalLine(
        session=session,
        segment=transcript.segment_id,
        outcome="transcript",
        text=transcript.text,
        start_sample=pending.start_sample,
        end_sample=pending.end.end_sample,
        confidence=round(transcript.confidence, 4),
        route=pb.Route.Name(provenance.route).removeprefix("ROUTE_").lower()
        if provenance.route in pb.Route.values()
        else "",
        bundle=f"{provenance.bundle} {provenance.bundle_version}".strip(),
    )
