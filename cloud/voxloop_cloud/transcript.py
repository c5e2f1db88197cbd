"""Makes the contract's Transcript of what the decoder heard."""

from typing import Final

from voxloop_cloud.decoder import Decoded
from voxloop_cloud.routing.policy import Route
from voxloop_cloud.routing.segment_route import Routed
from voxloop_proto import __version__
from voxloop_proto.audio import ms_to_samples
from voxloop_proto.telemetry import StageTiming
from voxloop_proto.v1 import voxloop_pb2 as pb

ROUTES: Final = {
    Route.PRIMARY: pb.ROUTE_PRIMARY,
    Route.CANARY: pb.ROUTE_CANARY,
    Route.HUMAN: pb.ROUTE_HUMAN,
    Route.LOCAL: pb.ROUTE_LOCAL,
}
"""As the contract has them."""


def to_transcript(
    start: pb.SegmentStart, decoded: Decoded, routed: Routed, timings: tuple[StageTiming, ...]
) -> pb.Transcript:
    """The transcript of a segment, its times on the device's clock."""
    bundle = routed.engine.bundle
    words = [
        pb.Word(
            text=word.text,
            start_sample=start.start_sample + ms_to_samples(word.start_ms),
            end_sample=start.start_sample + ms_to_samples(word.end_ms),
            confidence=word.confidence,
        )
        for word in decoded.words
    ]
    provenance = pb.Provenance(
        bundle=bundle.config.name,
        bundle_version=bundle.config.version,
        route=ROUTES[routed.route],
        timings=[pb.StageTiming(stage=t.stage, busy_ms=t.busy_ms, wait_ms=t.wait_ms) for t in timings],
        server_version=__version__,
    )
    return pb.Transcript(
        segment_id=start.segment_id,
        text=decoded.text,
        words=words,
        confidence=decoded.confidence,
        alternatives=[pb.Alternative(text=other.text, confidence=other.confidence) for other in decoded.alternatives],
        provenance=provenance,
    )
