"""How many streams to try next: a pure function of what was tried."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxloop_cloud.load.crowd import Outcome

FIRST_STREAMS = 8
MOST_STREAMS = 20_000
_CLOSE_ENOUGH = 0.05
_MOST_LATE_MS = 50.0


@dataclass(frozen=True, slots=True)
class Target:
    """What a server must keep: percentiles of `latency_ms`."""

    p95_ms: float = 200.0
    p99_ms: float = 400.0


@dataclass(frozen=True, slots=True)
class Tried:
    """A number of streams, and how they fared."""

    streams: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    passed: bool
    crowd_was_slow: bool = False


def judge(streams: int, outcome: Outcome, target: Target) -> Tried:
    """Passed if nobody was refused or failed and the percentiles are kept. A crowd that was late itself says so."""
    if not outcome.latency_ms:
        return Tried(streams, np.inf, np.inf, np.inf, passed=False)
    p50_ms, p95_ms, p99_ms = (float(value) for value in np.percentile(outcome.latency_ms, (50, 95, 99)))
    was_slow = float(np.percentile(outcome.late_ms, 95)) > _MOST_LATE_MS
    undisturbed = not outcome.failures and not outcome.refused
    passed = undisturbed and p95_ms <= target.p95_ms and p99_ms <= target.p99_ms and outcome.texts > 0
    return Tried(streams, p50_ms, p95_ms, p99_ms, passed, was_slow)


def next_streams(tried: Sequence[Tried], first: int = FIRST_STREAMS) -> int | None:
    """Doubles until it fails, then halves the gap until it is a twentieth; None: `most_streams` is the answer."""
    best = most_streams(tried)
    failed = [each.streams for each in tried if not each.passed]
    if not failed:
        return min(2 * best, MOST_STREAMS) if best else first
    worst = min(failed)
    if worst - best <= max(1, int(best * _CLOSE_ENOUGH)):
        return None
    return (best + worst) // 2


def most_streams(tried: Sequence[Tried]) -> int:
    """The most that passed, below all that failed; 0 if not even the fewest did."""
    worst = min((each.streams for each in tried if not each.passed), default=MOST_STREAMS + 1)
    return max((each.streams for each in tried if each.passed and each.streams < worst), default=0)
