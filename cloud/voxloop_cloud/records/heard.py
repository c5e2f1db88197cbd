"""One segment and its answer, as a session has them: what a record is made of."""

from dataclasses import dataclass
from typing import Protocol

from voxloop_cloud.feature_statistics import FeatureSummary
from voxloop_cloud.intake import SegmentIntake
from voxloop_cloud.routing.segment_route import SegmentRoute
from voxloop_proto.audio import Pcm
from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A segment that was answered; nothing of it changes any more.

    end: None if it failed before its end came. features: None if it failed, or no window of it was recognised.
    bundle: NAME@VERSION. level_dbfs: of the sound as it came. arrived_s: Unix seconds, when its answer was known.
    sound: all of it, in pieces; none without the device's consent to keep it.
    """

    hello: pb.Hello
    start: pb.SegmentStart
    end: pb.SegmentEnd | None
    answer: pb.Transcript | pb.Failure
    bundle: str
    route: str
    policy_version: int | None
    arrived_s: float
    received_samples: int
    level_dbfs: float
    features: FeatureSummary | None = None
    sound: tuple[Pcm, ...] = ()

    @property
    def sound_samples(self) -> int:
        """How much sound it carries."""
        return self.received_samples if self.sound else 0


class Recorder(Protocol):
    """Who is told of each segment that was answered."""

    @property
    def keeps_sound(self) -> bool:
        """Whether sound is of any use, where the device lets it be kept."""
        ...

    def now_s(self) -> float:
        """Unix seconds."""
        ...

    def hear(self, heard: Heard) -> None:
        """Takes a segment; returns at once."""
        ...


def heard_of(
    hello: pb.Hello,
    intake: SegmentIntake,
    route: SegmentRoute,
    end: pb.SegmentEnd | None,
    answer: pb.Transcript | pb.Failure,
    arrived_s: float,
) -> Heard:
    """What a session has of a segment at the moment of its answer."""
    routed = route.routed
    return Heard(
        hello=hello,
        start=intake.start,
        end=end,
        answer=answer,
        bundle=routed.engine.key,
        route=routed.route.value,
        policy_version=routed.policy_version or None,
        arrived_s=arrived_s,
        received_samples=intake.received_samples,
        level_dbfs=intake.level_dbfs,
        features=route.feature_summary() if isinstance(answer, pb.Transcript) else None,
        sound=tuple(intake.sound),
    )
