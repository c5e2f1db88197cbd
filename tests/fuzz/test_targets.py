"""A few runs of each fuzz target; scripts/fuzz makes millions, led by what code they reach."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.choices import Choices, Edit, edited, read_edits
from tests.fuzz.target import FuzzTarget
from tests.fuzz.targets import TARGETS

_RUNS = 60

EDITS = st.lists(st.builds(Edit, st.integers(0, 1 << 16), st.integers(0, 8), st.binary(max_size=12)), max_size=6)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_good_input_is_taken(target: FuzzTarget) -> None:
    for seed in target.seeds():
        target.run(seed)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_spoilt_input_is_taken_or_refused(target: FuzzTarget) -> None:
    seeds = st.sampled_from(target.seeds())

    @settings(max_examples=_RUNS, deadline=target.most_s * 1000, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.builds(edited, seeds, EDITS), st.binary(max_size=200)))
    def spoilt(data: bytes) -> None:
        target.run(data)

    spoilt()


def test_no_bytes_are_no_choices() -> None:
    choices = Choices(b"")
    assert (choices.used_up, choices.below(7), choices.pick("ab"), choices.take(3)) == (True, 0, "a", b"")


@given(st.binary(max_size=50), EDITS)
def test_edits_change_only_their_places(content: bytes, edits: list[Edit]) -> None:
    put = sum(len(edit.put) for edit in edits)
    removed = sum(edit.removed_bytes for edit in edits)
    assert len(content) + put - removed <= len(edited(content, edits)) <= len(content) + put


def test_edits_end_with_the_bytes() -> None:
    assert read_edits(Choices(b"\5\0\0\1\2ab"), most=4) == [Edit(5, 1, b"ab")]
