"""Chains of stages: order, flushing, and that a chain is a stage like any other."""

from hypothesis import given
from hypothesis import strategies as st

from voxloop_proto.stage import Chain, run


class Pairs:
    """Holds one item back until its partner comes; alone at the end, it goes by itself."""

    def __init__(self) -> None:
        self._held: tuple[str, ...] = ()

    def push(self, item: str, /) -> tuple[str, ...]:
        held, self._held = self._held, (item,)
        if not held:
            return ()
        self._held = ()
        return (held[0] + item,)

    def flush(self) -> tuple[str, ...]:
        held, self._held = self._held, ()
        return held


class Letters:
    """Takes a word apart; holds nothing back."""

    def push(self, item: str, /) -> tuple[str, ...]:
        return tuple(item)

    def flush(self) -> tuple[str, ...]:
        return ()


class Farewell:
    """Passes everything on, and adds a last word at each flush."""

    def push(self, item: str, /) -> tuple[str, ...]:
        return (item,)

    def flush(self) -> tuple[str, ...]:
        return ("!", "?")


def test_items_pass_the_stages_from_left_to_right() -> None:
    assert list(run(Chain[str, str](Letters(), Pairs()), ["abc", "d"])) == ["ab", "cd"]
    assert list(run(Chain[str, str](Pairs(), Letters()), ["abc", "d"])) == ["a", "b", "c", "d"]


def test_what_a_stage_held_back_passes_the_stages_after_it() -> None:
    assert list(run(Chain[str, str](Pairs(), Pairs()), ["a", "b", "c"])) == ["abc"]


def test_a_later_stage_is_flushed_after_the_earlier_ones_have_spoken() -> None:
    chain = Chain[str, str](Farewell(), Pairs(), Farewell())
    assert list(run(chain, ["a"])) == ["a!", "?", "!", "?"]


def test_a_flushed_chain_is_as_new() -> None:
    chain = Chain[str, str](Letters(), Pairs())
    assert list(run(chain, ["abc"])) == list(run(chain, ["abc"])) == ["ab", "c"]


def test_a_chain_without_stages_passes_everything_on() -> None:
    assert list(run(Chain[str, str](), ["a", "b"])) == ["a", "b"]


@given(st.lists(st.text("xyz", max_size=3), max_size=12))
def test_chains_nest_without_a_difference(words: list[str]) -> None:
    flat = Chain[str, str](Letters(), Pairs(), Pairs())
    nested = Chain[str, str](Letters(), Chain[str, str](Pairs(), Pairs()))
    assert list(run(flat, words)) == list(run(nested, words))


@given(st.lists(st.text("xyz", max_size=3), max_size=12))
def test_nothing_is_lost_in_a_chain(words: list[str]) -> None:
    assert "".join(run(Chain[str, str](Letters(), Pairs(), Pairs()), words)) == "".join(words)
