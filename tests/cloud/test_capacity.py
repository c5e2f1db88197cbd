"""How the number of streams is searched, and where it is written down."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.capacity_file import (
    MeasuredCapacity,
    bundle_digest,
    capacity_path,
    keep_capacity,
    machine_name,
    measured_capacity,
    usable_cores,
)
from voxloop_cloud.load.crowd import Outcome
from voxloop_cloud.load.search import MOST_STREAMS, Target, Tried, judge, most_streams, next_streams
from voxloop_proto.errors import ConfigError


@given(limit=st.integers(0, 5_000), first=st.integers(1, 100))
def test_the_search_ends_within_a_twentieth_of_the_limit(limit: int, first: int) -> None:
    tried: list[Tried] = []
    while (streams := next_streams(tried, first)) is not None:
        assert streams not in {each.streams for each in tried}, "tried twice"
        tried.append(Tried(streams, 0.0, 0.0, 0.0, passed=streams <= limit))
        assert len(tried) < 40
    best = most_streams(tried)
    assert best <= limit
    assert limit - best <= max(1, limit // 20)


def test_a_number_below_one_that_failed_is_the_answer_even_if_a_greater_one_passed_by_chance() -> None:
    tried = [Tried(n, 0.0, 0.0, 0.0, passed) for n, passed in ((8, True), (16, False), (32, True))]
    assert most_streams(tried) == 8
    assert most_streams([]) == 0
    assert MOST_STREAMS > 10_000


@pytest.mark.parametrize(
    ("latency_ms", "refused", "texts", "passed"),
    [
        ([10.0] * 100, 0, 100, True),
        ([10.0] * 94 + [201.0] * 6, 0, 100, False),
        ([10.0] * 97 + [401.0] * 3, 0, 100, False),
        ([10.0] * 100, 1, 100, False),
        ([10.0] * 100, 0, 0, False),
        ([], 0, 0, False),
    ],
)
def test_who_is_refused_or_late_or_gets_no_text_has_not_been_served(
    latency_ms: list[float], refused: int, texts: int, passed: bool
) -> None:
    outcome = Outcome(latency_ms=latency_ms, late_ms=[1.0], texts=texts)
    outcome.refused.update({"RESOURCE_EXHAUSTED": refused} if refused else {})
    assert judge(10, outcome, Target()).passed is passed


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(tmp_path / "bundles"))
    return tmp_path


def capacity_of(bundle: Bundle, **changes: object) -> MeasuredCapacity:
    found = {
        "machine": machine_name(),
        "bundle": bundle.label,
        "bundle_sha256": bundle_digest(bundle),
        "workers": 1,
        "cores": usable_cores(),
        "streams": 50,
        "p95_ms": 100.0,
        "p99_ms": 200.0,
        "measured": "2026-01-01T00:00:00+00:00",
    }
    return MeasuredCapacity.model_validate(found | changes)


def test_what_was_measured_counts_for_this_machine_bundle_and_workers_alone(own_home: Path, bundle: Bundle) -> None:
    assert measured_capacity(bundle, 1) is None
    for changes in ({"machine": "another"}, {"bundle_sha256": "0"}, {"workers": 2, "streams": 90}):
        keep_capacity(capacity_of(bundle, **changes))
    assert measured_capacity(bundle, 1) is None
    keep_capacity(capacity_of(bundle, streams=40))
    keep_capacity(capacity_of(bundle, streams=60))
    assert [measured_capacity(bundle, workers).streams for workers in (1, 2)] == [60, 90]  # type: ignore[union-attr]
    assert capacity_path().read_text().count('"machine"') == 4


def test_a_file_that_is_something_else_is_named(own_home: Path, bundle: Bundle) -> None:
    capacity_path().parent.mkdir(parents=True, exist_ok=True)
    capacity_path().write_text('{"streams": -1}')
    with pytest.raises(ConfigError, match=r"capacity.json cannot be read as what .*; remove it"):
        measured_capacity(bundle, 1)
