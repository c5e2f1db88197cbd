"""What happened in a long run so far, and what it comes to."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from voxloop_edge.replies import LinkChanged, Reply, SegmentFailed, TranscriptArrived


@dataclass
class Count:
    """What happened so far. Memory: (seconds, bytes) of the server."""

    latencies_ms: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    transcripts: int = 0
    twice: int = 0
    lost_samples: int = 0
    breaks: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def hear(self, reply: Reply, made: Counter[int]) -> None:
        """Takes one reply of a session, and its samples off what is to be covered."""
        if isinstance(reply, TranscriptArrived):
            self.transcripts += 1
            self.latencies_ms.append(reply.latency_ms)
            self.twice += made[reply.transcript.segment_id] <= 0
            made[reply.transcript.segment_id] -= reply.end.sent_samples
        self.breaks += isinstance(reply, LinkChanged) and not reply.is_open
        if isinstance(reply, SegmentFailed):
            self.errors[reply.error.message] += 1


def tell(count: Count) -> str:
    """One line of how it goes."""
    p50, p95, p99 = np.percentile(count.latencies_ms or [0.0], [50, 95, 99])
    return (
        f"latency p50 {p50:.0f} p95 {p95:.0f} p99 {p99:.0f} ms  {count.transcripts} transcripts  "
        f"{count.errors.total()} errors  {count.breaks} breaks"
    )


def figures(count: Count) -> dict[str, object]:
    """The whole run: memory at its start and end and its slope, latency, and what went wrong."""
    seconds, resident = np.array(count.memory, float).T
    slope = np.polyfit(seconds - seconds[0], resident, 1)[0] if len(resident) > 2 else 0.0
    p50, p95, p99 = np.percentile(count.latencies_ms or [0.0], [50, 95, 99]).round(1)
    memory = {"start_mib": resident[0] / 2**20, "end_mib": resident[-1] / 2**20, "mib_per_hour": slope * 3600 / 2**20}
    found = {"latency_ms": {"p50": p50, "p95": p95, "p99": p99}, "transcripts": count.transcripts}
    found |= {"transcripts_twice": count.twice, "samples_lost": count.lost_samples, "breaks": count.breaks}
    return {"memory": {k: round(v, 2) for k, v in memory.items()}, **found, "errors": dict(count.errors)}
