"""What spellings sound like, as it is learned and as it is shipped."""

from pathlib import Path

import pytest

from voxloop_cloud.spelling import EDGE, Spelling, load_spelling, write_spelling
from voxloop_training.lexicon.spelling_learner import Entry, entries, held_out, learn, wrong_words


@pytest.fixture(scope="module")
def few() -> list[Entry]:
    return [entry for entry in entries() if len(entry[0]) <= 4][:3000]


def test_a_model_says_most_of_the_words_that_it_was_learned_from_as_they_are(few: list[Entry]) -> None:
    model, _ = learn(few)
    assert len(wrong_words(model, [(word, [phones]) for word, phones in few])) < 0.35 * len(few)


def test_learning_twice_gives_the_same_model(few: list[Entry]) -> None:
    assert learn(few[:500])[1] == learn(few[:500])[1]


def test_a_model_survives_its_file(few: list[Entry], tmp_path: Path) -> None:
    model, counts = learn(few[:500])
    write_spelling(model, counts, tmp_path / "model.xz")
    again = load_spelling(tmp_path / "model.xz")
    assert again.graphones == model.graphones
    assert [again.pronounce(word) for word, _ in few[:50]] == [model.pronounce(word) for word, _ in few[:50]]


def test_the_cheapest_units_win_by_a_hand_counted_example() -> None:
    model = Spelling(2, [EDGE, ("a", ("AH",)), ("a", ("EY",))], [((1,), 3), ((2,), 1), ((0,), 1), ((0, 2), 1)])
    assert model.pronounce("a") == ("AH",)


def test_about_one_word_in_25_is_held_out_for_the_measurement() -> None:
    words = [word for word, _ in entries() if held_out(word)]
    assert 0.03 < len(words) / len(entries()) < 0.05
