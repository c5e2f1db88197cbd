from voxloop_training.evaluation.alignment import Edit, align_words
from voxloop_training.evaluation.confusions import Confusion, count_confusions
from voxloop_training.evaluation.phone_confusions import Lexicon, align_phones

LEXICON: Lexicon = {
    "bat": (("B", "AE", "T"),),
    "pat": (("P", "AE", "T"),),
    "read": (("R", "EH", "D"), ("R", "IY", "D")),
    "reed": (("R", "IY", "D"),),
    "a": (("AH",), ("EY",)),
    "at": (("AE", "T"),),
}


def phones(reference: str, hypothesis: str) -> list[Edit]:
    [edits] = align_words([reference], [hypothesis])
    return list(align_phones(edits, LEXICON))


def test_the_most_frequent_confusions_come_first_with_how_often_the_word_was_said() -> None:
    edits = [
        edit
        for aligned in align_words(["a cat", "a cat", "a dog", ""], ["a bat", "a bat", "dog", "uh"])
        for edit in aligned
    ]
    table = count_confusions(edits)
    assert table.units == 6
    assert table.substitutions == [Confusion(reference="cat", hypothesis="bat", count=2, of=2)]
    assert table.deletions == [Confusion(reference="a", hypothesis="", count=1, of=3)]
    assert table.insertions == [Confusion(reference="", hypothesis="uh", count=1, of=0)]


def test_a_word_that_differs_in_one_phone_is_one_confused_phone() -> None:
    assert phones("bat", "pat") == [Edit("B", "P"), Edit("AE", "AE"), Edit("T", "T")]


def test_words_that_sound_alike_confuse_no_phones() -> None:
    assert phones("read", "reed") == [Edit("R", "R"), Edit("IY", "IY"), Edit("D", "D")]


def test_a_passage_of_wrong_words_is_aligned_as_a_whole() -> None:
    assert phones("bat a", "at") == [Edit("B", ""), Edit("AE", "AE"), Edit("T", "T"), Edit("AH", "")]
    assert phones("read", "a reed") == [Edit("", "AH"), Edit("R", "R"), Edit("IY", "IY"), Edit("D", "D")]


def test_a_passage_with_a_word_that_has_no_pronunciation_is_left_out() -> None:
    assert phones("at zyzzyva", "at bat") == [Edit("AE", "AE"), Edit("T", "T")]
    assert phones("bat", "zyzzyva") == []
