"""A segment on its way: who answers it, by which policy, and who listens in."""

from dataclasses import dataclass

from voxloop_cloud.decoder import Decoded, Hypothesis
from voxloop_cloud.engine import Engine
from voxloop_cloud.feature_statistics import FeatureSummary
from voxloop_cloud.routing.policy import FULL, Automation, Route
from voxloop_cloud.routing.shadows import ShadowCopy
from voxloop_cloud.segment_work import SegmentWork
from voxloop_proto.audio import Pcm
from voxloop_proto.telemetry import StageTiming


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a segment goes. copy: of its sound, for those who listen in; None if nobody does."""

    engine: Engine
    route: Route = Route.PRIMARY
    policy_version: int = 0
    automation: Automation = FULL
    copy: ShadowCopy | None = None


class SegmentRoute:
    """A segment's work, and its copy. It stays with its bundle, whatever policy comes meanwhile."""

    def __init__(self, routed: Routed, work: SegmentWork, busy_ms: float = 0.0) -> None:
        """busy_ms: what the choice took."""
        self.routed = routed
        self._work = work
        self._busy_ms = busy_ms
        self._copy = routed.copy

    @property
    def waiting_samples(self) -> int:
        """As SegmentWork.waiting_samples."""
        return self._work.waiting_samples

    def push(self, pcm: Pcm) -> None:
        """As SegmentWork.push."""
        self._work.push(pcm)
        if self._copy is not None:
            self._copy.push(pcm)

    async def settled(self) -> Hypothesis:
        """As SegmentWork.settled."""
        return await self._work.settled()

    async def finish(self) -> Decoded:
        """As SegmentWork.finish."""
        return await self._work.finish()

    def compare(self, session_id: str, segment_id: int, told: str) -> None:
        """The device has its text: now those who listen in are asked. Returns at once."""
        if self._copy is not None:
            self._copy.compare(session_id, segment_id, told)

    def abandon(self) -> None:
        """As SegmentWork.abandon; nobody is asked then."""
        self._work.abandon()
        if self._copy is not None:
            self._copy.let_go()

    def feature_summary(self) -> FeatureSummary | None:
        """As SegmentWork.feature_summary."""
        return self._work.feature_summary()

    def timings(self) -> tuple[StageTiming, ...]:
        """The choice's, then as SegmentWork.timings."""
        return (StageTiming("router", self._busy_ms), *self._work.timings())
