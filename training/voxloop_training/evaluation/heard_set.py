"""A set as one system heard it."""

from dataclasses import dataclass

from voxloop_edge.report import Percentiles, percentiles
from voxloop_training.evaluation.heard_clip import HeardClip

_NOT_MEASURED = percentiles([])


@dataclass(frozen=True, slots=True)
class HeardSet:
    """What came back of a set's clips, and what that took; None where it was not measured.

    cpu_s: of the server's process, or of recognition alone where there is none. latency_clips: clips that the
    latencies, in ms, were measured on.
    """

    clips: tuple[HeardClip, ...]
    cpu_s: float | None = None
    edge_cpu_s: float | None = None
    wall_s: float | None = None
    latency_clips: int = 0
    latency_ms: Percentiles = _NOT_MEASURED
    user_latency_ms: Percentiles = _NOT_MEASURED
