"""The scheduler: full batches at once, others within the wait, nobody overtaken."""

from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.scheduler import BatchPolicy, Go, Rest, Wait, decide

POLICY = BatchPolicy(max_batch=4, max_wait_ms=10, queue_limit=100)

policies = st.builds(BatchPolicy, max_batch=st.integers(1, 8), max_wait_ms=st.floats(0, 50), queue_limit=st.just(1000))
arrivals = st.lists(st.floats(0, 100), max_size=30).map(sorted)


def test_nothing_happens_without_windows_or_workers() -> None:
    assert decide([], 2, 0, POLICY) == Rest()
    assert decide([0.0] * 9, 0, 100, POLICY) == Rest()


def test_a_full_batch_goes_at_once() -> None:
    assert decide([5.0] * 4, 1, 5, POLICY) == Go(4)


def test_a_window_waits_for_others_no_longer_than_allowed() -> None:
    assert decide([5.0, 8.0], 1, 9, POLICY) == Wait(6)
    assert decide([5.0, 8.0], 1, 15, POLICY) == Go(2)


def test_free_workers_share_what_is_due() -> None:
    assert decide([0.0] * 6, 2, 20, POLICY) == Go(3)
    assert decide([0.0] * 3, 2, 20, POLICY) == Go(2)


@given(since_ms=arrivals, free_workers=st.integers(0, 4), wait_ms=st.floats(0, 100), policy=policies)
def test_a_decision_fits_what_is_there(
    since_ms: list[float], free_workers: int, wait_ms: float, policy: BatchPolicy
) -> None:
    now_ms = max(since_ms, default=0.0) + wait_ms
    decision = decide(since_ms, free_workers, now_ms, policy)
    if isinstance(decision, Go):
        assert 1 <= decision.count <= min(len(since_ms), policy.max_batch)
        assert free_workers > 0
    elif isinstance(decision, Wait):
        assert 0 < decision.at_most_ms <= policy.max_wait_ms + 1e-9
        assert isinstance(decide(since_ms, free_workers, now_ms + decision.at_most_ms + 1e-6, policy), Go)


@given(
    policy=policies,
    backlogs=st.lists(st.integers(1, 12), min_size=2, max_size=12),
    step_ms=st.floats(1, 40),
)
def test_no_stream_is_served_twice_while_another_waits(
    policy: BatchPolicy, backlogs: list[int], step_ms: float
) -> None:
    """Streams with more or less sound in hand put in their next window as soon as they have the last one back."""
    left = dict(enumerate(backlogs))
    waiting = [(0.0, stream) for stream in left]
    now_ms = 0.0
    while waiting:
        decision = decide([since for since, _ in waiting], 1, now_ms, policy)
        if isinstance(decision, Wait):
            now_ms += decision.at_most_ms + 1e-6
            continue
        assert isinstance(decision, Go)
        served, waiting = waiting[: decision.count], waiting[decision.count :]
        assert all(since <= other for since, _ in served for other, _ in waiting)
        now_ms += step_ms
        for _, stream in served:
            left[stream] -= 1
            if left[stream]:
                waiting.append((now_ms, stream))
    assert not any(left.values())
