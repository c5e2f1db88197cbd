"""A closed grammar: the graph of a session in which only its hotwords may be said."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from voxloop_cloud.graph import Graph
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_lexicon import GraphLexicon
from voxloop_cloud.pronouncer import SpokenPhrase

UNKNOWN: Final = ""
"""How a phone is written that belongs to no phrase."""

_START: Final = 0
_PHRASES: Final = 1
_UNKNOWN: Final = 2


@dataclass(slots=True)
class _Arcs:
    """Arcs as they are added (source, input label, word, cost, target); states are counted up."""

    states: int = 3
    rows: list[tuple[int, int, int, float, int]] = field(default_factory=list)

    def new_state(self) -> int:
        self.states += 1
        return self.states - 1

    def add_silent(self, source: int, target: int) -> None:
        self.rows.append((source, 0, 0, 0.0, target))

    def add_chain(self, source: int, target: int, phones: Sequence[int], word: int, cost: float) -> None:
        """Phones in a row from one state to another; the first one writes the word and pays."""
        for place, phone in enumerate(phones):
            reached = target if place == len(phones) - 1 else self.new_state()
            self.rows.append((source, phone + 1, word, cost, reached))
            source, word, cost = reached, 0, 0.0


def phrase_graph(phrases: Sequence[SpokenPhrase], phones: int, config: DecoderConfig) -> tuple[Graph, GraphLexicon]:
    """A segment is any number of the phrases, one after the other, or else phones that are none of them.

    A phrase costs log N and `phrase_cost`. The other way through, any phones at `unknown_phone_cost` each, wins where
    the phrases say too little of what was heard, and is written as nothing: a phrase within other speech does not
    count. Phrases that begin with the same words share them.
    """
    numbers: dict[str, int] = {}
    ways: list[tuple[tuple[int, ...], ...]] = []
    arcs = _Arcs()
    arcs.add_silent(_START, _PHRASES)
    ends: dict[tuple[str, ...], int] = {(): _PHRASES}
    entry_cost = math.log(len(phrases)) + config.phrase_cost
    for phrase in phrases:
        for place, (word, its_ways) in enumerate(zip(phrase.words, phrase.ways, strict=True)):
            before, after = phrase.words[:place], phrase.words[: place + 1]
            if after in ends:
                continue
            if word not in numbers:
                numbers[word] = len(numbers) + 1
                ways.append(its_ways)
            ends[after] = arcs.new_state()
            for way in its_ways:
                arcs.add_chain(ends[before], ends[after], way, numbers[word], 0.0 if place else entry_cost)
        arcs.add_silent(ends[phrase.words], _PHRASES)
    unknown = len(numbers) + 1
    for source in (_START, _UNKNOWN):
        for phone in range(phones):
            arcs.add_chain(source, _UNKNOWN, (phone,), unknown, config.unknown_phone_cost)
    lexicon = GraphLexicon([*zip(numbers, ways, strict=True), (UNKNOWN, tuple((phone,) for phone in range(phones)))])
    return _to_graph(arcs, phones, len(lexicon)), lexicon


def _to_graph(arcs: _Arcs, phones: int, words: int) -> Graph:
    rows = sorted(arcs.rows, key=lambda row: row[0])
    final = np.full(arcs.states, np.inf, np.float32)
    final[[_PHRASES, _UNKNOWN]] = 0.0
    return Graph(
        phones=phones,
        words=words,
        start=_START,
        first_arc=np.searchsorted([row[0] for row in rows], np.arange(arcs.states + 1)).astype(np.int64),
        phone=np.array([row[1] for row in rows], np.uint8),
        word=np.array([row[2] for row in rows], np.int32),
        cost=np.array([row[3] for row in rows], np.float32),
        target=np.array([row[4] for row in rows], np.int32),
        final=final,
    )
