"""Rates of counters and quantiles of histograms, by the arithmetic of Prometheus 2, so that both alarm at once.

After promql/functions.go (extrapolatedRate) and promql/quantile.go (bucketQuantile) of Prometheus, Apache-2.0.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise

from voxloop_cloud.alarms.series import Point

_REACH = 1.1
"""A series is taken to go on to the window's edge if that is at most so many of its intervals away."""


def rate_per_s(points: tuple[Point, ...], at_s: float, window_s: float) -> float | None:
    """How fast a counter rose in the window that ends at `at_s`; None if there are fewer than two points in it.

    A value below the one before it is a restart from zero. What is seen between first and last point is extended to
    the window's edges, but not to before the counter was zero.
    """
    if len(points) < 2:
        return None
    (first_s, first), (last_s, last) = points[0], points[-1]
    rise = last - first + sum(before for (_, before), (_, after) in pairwise(points) if after < before)
    sampled_s = last_s - first_s
    interval_s = sampled_s / (len(points) - 1)
    to_start_s = first_s - (at_s - window_s)
    if rise > 0.0 and first >= 0.0:
        to_start_s = min(to_start_s, sampled_s * (first / rise))
    covered_s = sampled_s
    for edge_s in (to_start_s, at_s - last_s):
        covered_s += edge_s if edge_s < interval_s * _REACH else interval_s / 2.0
    return rise * (covered_s / sampled_s / window_s)


def bucket_quantile(quantile: float, buckets: Iterable[tuple[float, float]]) -> float | None:
    """The quantile of a histogram, linear within its bucket; None if it holds nothing or has no bucket up to infinity.

    buckets: upper bound and count of all up to it, in any order. Beyond the last finite bound it is that bound: such a
    quantile can't be told, so a threshold has to lie below it.
    """
    bounds: list[float] = []
    counts: list[float] = []
    for bound, count in sorted(buckets):
        bounds.append(bound)
        counts.append(max(count, counts[-1]) if counts else count)
    if len(bounds) < 2 or not math.isinf(bounds[-1]) or counts[-1] == 0.0:
        return None
    rank = quantile * counts[-1]
    place = bisect_left(counts, rank, hi=len(counts) - 1)
    if place == len(bounds) - 1:
        return bounds[-2]
    if place == 0:
        start, below = 0.0, 0.0
        if bounds[0] <= 0.0:
            return bounds[0]
    else:
        start, below = bounds[place - 1], counts[place - 1]
    return start + (bounds[place] - start) * ((rank - below) / (counts[place] - below))
