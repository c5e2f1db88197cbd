import pytest

from voxloop_training.evaluation.calibration import calibrate


def test_confidence_that_is_the_share_of_right_words_has_no_error() -> None:
    found = calibrate([(0.75, right) for right in (True, True, True, False)] + [(0.0, False)])
    assert found is not None
    assert found.words == 5
    assert found.error == 0.0


def test_too_much_confidence_is_an_error() -> None:
    found = calibrate([(1.0, True), (1.0, False)])
    assert found is not None
    assert found.error == 0.5
    assert [(each.words, each.confidence, each.right_ratio) for each in found.bins] == [(2, 1.0, 0.5)]


def test_bins_count_every_word_once() -> None:
    found = calibrate([(number / 100, True) for number in range(101)])
    assert found is not None
    assert sum(each.words for each in found.bins) == 101
    assert [each.confidence for each in found.bins] == pytest.approx([0.045 + 0.1 * n for n in range(9)] + [0.95])


def test_without_words_there_is_nothing_to_say() -> None:
    assert calibrate([]) is None
