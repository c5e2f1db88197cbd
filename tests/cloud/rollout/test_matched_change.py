"""Devices differ, and a bundle is not to blame for the devices that it was given."""

import math

import numpy as np
import pytest

from voxloop_cloud.rollout.capital import Capital
from voxloop_cloud.rollout.matched_change import MOST_BEFORE, MOST_DEVICES, MatchedChange

ALPHA = 0.01
DEVICES, MOVED, BEFORE = 60, 3, 60


def rolls_back(rng: np.random.Generator, added: float, is_matched: bool, rounds: int = BEFORE) -> bool:
    """One canary on devices of which each has a rate of its own; a look after every utterance."""
    rates = rng.beta(0.5, 2.0, DEVICES)
    changes = MatchedChange(1)
    for device, rate in enumerate(rates):
        changes.remember(str(device), [(float(heard),) for heard in rng.random(BEFORE) < rate])
    values, stayed = [], []
    for device in rng.permuted(np.tile(np.arange(DEVICES), rounds)):
        is_moved = device < MOVED
        rate = rates[device] + added * is_moved * (1 - rates[device])
        heard = float(rng.random() < rate)
        if is_matched:
            change = changes.hear(str(device), bool(is_moved), (heard,))
            if change is not None:
                values.append((change[0] + 2.0) / 4.0)
        elif not is_moved:
            stayed.append(heard)
        elif stayed:
            values.append((heard - np.mean(stayed) + 1.0) / 2.0)
            stayed = []
    capital = Capital(np.array([0.5]))
    capital.bet(np.array(values))
    return bool(capital.highest[0] >= -math.log(ALPHA))


def test_a_bundle_is_not_rolled_back_for_the_devices_that_it_was_given() -> None:
    rng = np.random.default_rng(1)
    rolled_back = sum(rolls_back(rng, added=0.0, is_matched=True) for _ in range(100))
    assert rolled_back / 100 <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 100)


def test_without_matching_it_would_be() -> None:
    rng = np.random.default_rng(2)
    assert sum(rolls_back(rng, added=0.0, is_matched=False) for _ in range(40)) / 40 > 0.1


def test_a_bundle_that_changes_much_is_caught() -> None:
    rng = np.random.default_rng(3)
    assert sum(rolls_back(rng, added=0.5, is_matched=True) for _ in range(20)) >= 18


def test_what_changed_for_all_is_not_the_bundles() -> None:
    changes = MatchedChange(1)
    for device in ("a", "b"):
        changes.remember(device, [(0.0,)] * 10)
    found = []
    for _ in range(10):
        found += [changes.hear("a", True, (1.0,)), changes.hear("b", False, (1.0,))]
    assert {float(change[0]) for change in found if change is not None} == {0.0}


def test_a_device_without_a_past_is_counted_and_left_out() -> None:
    changes = MatchedChange(1)
    changes.remember("new", [])
    assert not changes.wants("new")
    assert changes.hear("new", True, (1.0,)) is None
    assert changes.hear("stranger", True, (1.0,)) is None
    assert changes.unmatched == 2
    assert changes.moved_devices == set()


def test_each_utterance_of_the_past_is_used_once() -> None:
    changes = MatchedChange(1)
    changes.remember("a", [(0.0,)] * 2)
    changes.remember("b", [(0.0,)] * 5)
    for _ in range(5):
        changes.hear("a", True, (1.0,))
    assert changes.unmatched == 3


def test_devices_and_their_pasts_are_bounded() -> None:
    changes = MatchedChange(1)
    for device in range(MOST_DEVICES):
        assert changes.wants(str(device))
        changes.remember(str(device), [(0.0,)] * 2 * MOST_BEFORE if device == 0 else [])
    assert not changes.wants("one more")
    for _ in range(MOST_BEFORE + 1):
        changes.hear("0", True, (1.0,))
    assert changes.unmatched == 1


@pytest.mark.parametrize(("moved", "stayed"), [(1, 3), (3, 1), (2, 2)])
def test_utterances_that_wait_for_company_are_averaged(moved: int, stayed: int) -> None:
    changes = MatchedChange(1)
    changes.remember("a", [(0.0,)] * 9)
    changes.remember("b", [(1.0,)] * 9)
    order = ["b"] * stayed + ["a"] * moved if stayed > moved else ["a"] * moved + ["b"] * stayed
    found = [changes.hear(device, device == "a", (1.0,)) for device in order]
    first = next(change for change in found if change is not None)
    assert float(first[0]) == 1.0
