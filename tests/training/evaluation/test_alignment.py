import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_proto.scoring import score
from voxloop_training.evaluation.alignment import Edit, align_words

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "it's"]), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits"),
    [
        ("play some jazz", "play some jazz", [("play", "play"), ("some", "some"), ("jazz", "jazz")]),
        ("set a timer", "set timer", [("set", "set"), ("a", ""), ("timer", "timer")]),
        ("lights off", "lights often", [("lights", "lights"), ("off", "often")]),
        ("", "hello there", [("", "hello"), ("", "there")]),
        ("hello", "", [("hello", "")]),
        ("Don't, stop", "don’t stop", [("don't", "don't"), ("stop", "stop")]),
        ("", "", []),
    ],
)
def test_known_pairs(reference: str, hypothesis: str, edits: list[tuple[str, str]]) -> None:
    assert align_words([reference], [hypothesis]) == [tuple(Edit(*edit) for edit in edits)]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_an_alignment_counts_what_the_score_counts(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = ([*texts] for texts in zip(*pairs, strict=True))
    edits = [edit for aligned in align_words(references, hypotheses) for edit in aligned]
    totals = score(references, hypotheses)
    kinds = [edit.kind for edit in edits]
    assert kinds.count("substitution") + kinds.count("deletion") + kinds.count("insertion") == totals.errors
    assert kinds.count("deletion") == totals.deletions
    assert len(kinds) - kinds.count("insertion") == totals.words


@given(TEXTS, TEXTS)
def test_an_alignment_holds_both_texts(reference: str, hypothesis: str) -> None:
    [edits] = align_words([reference], [hypothesis])
    assert " ".join(edit.reference for edit in edits if edit.reference) == reference
    assert " ".join(edit.hypothesis for edit in edits if edit.hypothesis) == hypothesis
