"""What `voxloop listen --json` prints: each event of a listener as a JSON object on a line of its own.

| event | fields beside it |
|---|---|
| level | until_s, dbfs |
| started | segment, start_s |
| hypothesis | segment, text, stable_characters |
| ended | segment, end_s, reason |
| transcript | segment, start_s, end_s, text, confidence, latency_ms, user_latency_ms, bundle, route |
| failed | segment, message |
| link | is_open, reason |
| notice | message |

Times are seconds of the microphone's clock, from its start. A segment that has ended is answered by a transcript or as
failed.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from voxloop_edge.notice import notice
from voxloop_edge.replies import HypothesisArrived, LinkChanged, Reply, SegmentFailed, TranscriptArrived
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.events import SegmentEnded, SegmentStarted
from voxloop_proto.v1 import voxloop_pb2 as pb


class EventLines:
    """Watches a listener for another program, which must read as fast as sound comes: the listener waits for it."""

    def __init__(self, out: BinaryIO, on_unread: Callable[[], None]) -> None:
        """out: unbuffered. on_unread: called once when nobody reads any more."""
        self._out: BinaryIO | None = out
        self._on_unread = on_unread

    def level(self, dbfs: float, until_sample: int) -> None:
        """The level of the last sound."""
        self._print("level", until_s=_seconds(until_sample), dbfs=round(dbfs, 1))

    def segment(self, event: SegmentStarted | SegmentEnded) -> None:
        """Speech begins, or is over."""
        match event:
            case SegmentStarted():
                self._print("started", segment=event.segment_id, start_s=_seconds(event.start_sample))
            case SegmentEnded():
                end_s = _seconds(event.end_sample)
                self._print("ended", segment=event.segment_id, end_s=end_s, reason=event.reason.value)

    def reply(self, reply: Reply) -> None:
        """Text, or how it goes."""
        match reply:
            case HypothesisArrived():
                stable = reply.stable_characters
                self._print("hypothesis", segment=reply.segment_id, text=reply.text, stable_characters=stable)
            case TranscriptArrived():
                self._transcript(reply)
            case SegmentFailed():
                self._print("failed", segment=reply.segment_id, message=reply.error.message)
            case LinkChanged():
                self._print("link", is_open=reply.is_open, reason=reply.reason)
            case _:
                self._print("notice", message=notice(reply))

    def _transcript(self, reply: TranscriptArrived) -> None:
        found, provenance = reply.transcript, reply.transcript.provenance
        is_known = provenance.route in pb.Route.values()
        self._print(
            "transcript",
            segment=found.segment_id,
            start_s=_seconds(reply.start_sample),
            end_s=_seconds(reply.end.end_sample),
            text=found.text,
            confidence=round(found.confidence, 4),
            latency_ms=round(reply.latency_ms, 1),
            user_latency_ms=round(reply.user_latency_ms, 1),
            bundle=f"{provenance.bundle}@{provenance.bundle_version}" if provenance.bundle else "",
            route=pb.Route.Name(provenance.route).removeprefix("ROUTE_").lower() if is_known else "",
        )

    def _print(self, event: str, **fields: object) -> None:
        if self._out is None:
            return
        line = json.dumps({"event": event, **fields}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            while line:
                line = line[self._out.write(line) :]
        except BrokenPipeError:
            self._out = None
            self._on_unread()


@contextlib.contextmanager
def printing_events(on_unread: Callable[[], None]) -> Iterator[EventLines]:
    """A watcher that prints to standard output. on_unread: called once when nobody reads it any more."""
    with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as out:
        yield EventLines(cast(BinaryIO, out), on_unread)


def _seconds(sample: int) -> float:
    return round(sample / SAMPLE_RATE_HZ, 3)
