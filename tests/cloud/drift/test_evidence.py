"""Evidence: never much of it where nothing changed, soon enough of it where something did."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.drift.evidence import GRADUAL, RANK_POWER, SUDDEN, Betting, Evidence, gains_of

BETTINGS = pytest.mark.parametrize("betting", [SUDDEN, GRADUAL], ids=["sudden", "gradual"])


def highest(betting: Betting, scores: np.ndarray, tolerance: float, looks: int) -> np.ndarray:
    """The most that the e-values of each test ever were. scores: (looks, turns, tests)."""
    evidence = Evidence(betting, scores.shape[2], looks)
    e_values = [evidence.step(gains_of(each, tolerance, betting, RANK_POWER)) for each in scores]
    return np.asarray(np.max(e_values, axis=0))


@BETTINGS
def test_without_a_change_evidence_of_20_is_seen_in_no_more_than_one_of_20_periods(betting: Betting) -> None:
    rng = np.random.default_rng(1)
    periods = 1_000
    most = highest(betting, rng.random((80, 12, periods)), 0.0, 80)
    assert (most >= 20).mean() <= 0.05


@BETTINGS
def test_scores_that_stray_within_the_tolerance_are_no_evidence(betting: Betting) -> None:
    rng = np.random.default_rng(2)
    most = highest(betting, rng.beta(1.1, 0.9, (80, 12, 500)), 0.05, 80)  # a mean of 0.55
    assert (most >= 20).mean() <= 0.05


@BETTINGS
def test_a_change_in_the_last_quarter_is_found(betting: Betting) -> None:
    rng = np.random.default_rng(3)
    scores = rng.random((80, 12, 50))
    scores[60:] = rng.beta(4.0, 1.5, scores[60:].shape)
    most = highest(betting, scores, 0.05, 80)
    assert (most[:, 0] > 1e4).all()
    assert (most[:, 1] < 20).all()


def test_a_sudden_change_long_after_the_planned_looks_is_found() -> None:
    rng = np.random.default_rng(5)
    evidence = Evidence(SUDDEN, 20, planned_looks=20)
    for look in range(110):
        scores = rng.random((12, 20)) if look < 100 else rng.beta(6.0, 1.5, (12, 20))
        e_values = evidence.step(gains_of(scores, 0.05, SUDDEN, RANK_POWER))
    assert (e_values[:, 0] > 1e4).all()


def test_the_money_for_all_bets_is_never_more_than_there_is() -> None:
    for planned_looks in (1, 20, 200):
        evidence = Evidence(SUDDEN, 1, planned_looks)
        spent = [float(evidence.step(np.zeros((1, 2, len(SUDDEN.stakes))))[0, 0]) for _ in range(2_000)]
        assert (np.diff(spent) > -1e-12).all()
        assert spent[planned_looks - 1] == pytest.approx(0.75)
        assert spent[-1] <= 1


def test_the_bet_that_won_most_began_about_when_the_change_was() -> None:
    rng = np.random.default_rng(4)
    evidence = Evidence(SUDDEN, 1, 80)
    for look in range(68):
        scores = rng.random((12, 1)) if look < 60 else rng.beta(6.0, 1.5, (12, 1))
        evidence.step(gains_of(scores, 0.05, SUDDEN, RANK_POWER))
    assert 6 <= evidence.looks_since_change(0, 0) <= 10


def test_a_turn_without_a_score_bets_nothing() -> None:
    gains = gains_of(np.full((5, 2), np.nan), 0.05, GRADUAL)
    assert (gains == 0).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 0.3))
def test_no_bet_can_lose_everything(scores: list[float], tolerance: float) -> None:
    for betting in (SUDDEN, GRADUAL):
        for power in (1, RANK_POWER):
            assert np.isfinite(gains_of(np.array(scores)[:, None], tolerance, betting, power)).all()


def test_no_more_bets_run_at_once_than_their_length_allows() -> None:
    evidence = Evidence(SUDDEN, 1, 1_000)
    for _ in range(300):
        evidence.step(np.zeros((1, 2, len(SUDDEN.stakes))))
    assert SUDDEN.ends_after is not None
    assert len(evidence._bets) <= SUDDEN.ends_after
