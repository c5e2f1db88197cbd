"""What a session may say of its hotwords, and how it is told what it may not."""

import pytest

from voxloop_cloud.hotword_list import HotwordList, read_hotwords
from voxloop_proto.errors import ContractError

SECRET = "zanzibar"


def test_phrases_become_words_as_the_lexicon_spells_them_each_once() -> None:
    found = read_hotwords(["Siobhán O\u2019Neill", "Jean-Luc", " hey,  voxloop! ", "siobhan o'neill"], False, most=10)
    assert found == HotwordList((("siobhan", "o'neill"), ("jean", "luc"), ("hey", "voxloop")), only=False)


def test_no_hotwords_are_no_list() -> None:
    assert read_hotwords([], False, most=10) is None


@pytest.mark.parametrize(
    ("hotwords", "only", "said"),
    [
        ([SECRET] * 11, False, "11 hotwords; this server takes at most 10"),
        (["", SECRET], False, "hotword 1 has no letters; leave it out"),
        ([SECRET, "?!"], False, "hotword 2 has no letters"),
        ([SECRET, SECRET + " 42"], False, r"hotword 2 has the character U\+0034; .*write numbers as words"),
        ([SECRET + " ½"], False, r"hotword 1 has the character U\+0031"),
        (["東京 " + SECRET], False, r"hotword 1 has the character U\+6771; allowed are the letters a to z"),
        (["rock & roll $"], False, r"U\+0024"),
        ([SECRET + "\x00"], False, r"U\+0000"),
        ([SECRET * 13], False, "hotword 1 has 104 characters; allowed are 100"),
        (["\U0001f600" * 100] * 400, False, "400 hotwords"),
        ([], True, "hotwords_only without hotwords"),
    ],
)
def test_what_is_not_allowed_is_named_by_its_place_and_never_quoted(hotwords: list[str], only: bool, said: str) -> None:
    with pytest.raises(ContractError, match=said) as refused:
        read_hotwords(hotwords, only, most=10)
    assert SECRET not in refused.value.message


def test_all_hotwords_together_have_a_limit_in_bytes() -> None:
    with pytest.raises(ContractError, match="hotwords of 160000 bytes in all; allowed are 131072"):
        read_hotwords(["é" * 80] * 1000, False, most=1000)


def test_too_many_words_in_all_are_refused() -> None:
    hotwords = ["a " * 30 + first + second for first in "abcdefg" for second in "abcdefghij"]
    with pytest.raises(ContractError, match="hotwords of 2170 words in all; allowed are 2000"):
        read_hotwords(hotwords, only=False, most=1_000)
