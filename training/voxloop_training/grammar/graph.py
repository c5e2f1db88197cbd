"""Lexicon o grammar: the graph from phones to words that the server decodes with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import kaldifst
import kaldilm
import numpy as np

from voxloop_cloud.graph import Graph
from voxloop_cloud.graph_topology import from_fst
from voxloop_proto.errors import DataError
from voxloop_training.grammar.ngram import END, START
from voxloop_training.lexicon import PHONES, Pronunciation

BACKOFF: Final = "#0"
EPSILON: Final = "<eps>"
_LONGEST_CHAIN: Final = 8

Pronunciations = Mapping[str, Sequence[Pronunciation]]


def compile_graph(arpa: Path, pronunciations: Pronunciations) -> tuple[Graph, list[str]]:
    """Min(Det(lexicon o grammar)), and the words by output label, 0 being none.

    Mohri, Pereira and Riley 2008: disambiguation symbols after homophones and prefixes of other words make it
    determinizable; afterwards they are silent. A word that the grammar lacks is never heard; the pronunciations of each
    word share its probability.
    """
    words = [EPSILON, *sorted(pronunciations), BACKOFF, START, END]
    grammar = _grammar(arpa, words)
    lexicon = _lexicon(pronunciations, {word: index for index, word in enumerate(words)})
    kaldifst.arcsort(lexicon, sort_type="olabel")
    fst = kaldifst.StdVectorFst(kaldifst.compose(lexicon, grammar))
    kaldifst.determinize_star(fst)
    kaldifst.minimize_encoded(fst)
    graph = from_fst(fst, phones=len(PHONES), words=len(pronunciations))
    return without_silent_chains(graph), words[: len(pronunciations) + 1]


def without_silent_chains(graph: Graph) -> Graph:
    """Arcs into a state whose only way on is silent go to where that leads; what nothing leads to stays behind."""
    word, cost, target = graph.word.copy(), graph.cost.copy(), graph.target.copy()
    for _ in range(_LONGEST_CHAIN):
        leaving = np.diff(graph.first_arc)
        only = np.where(leaving == 1, graph.first_arc[:-1], 0)
        passing = (leaving == 1) & (graph.phone[only] == 0) & np.isinf(graph.final)
        merged = np.flatnonzero(passing[target] & ((word == 0) | (word[only[target]] == 0)))
        if not len(merged):
            break
        following = only[target[merged]]
        word[merged], cost[merged] = word[merged] + word[following], cost[merged] + cost[following]
        target[merged] = target[following]
    return _reachable(replace(graph, word=word, cost=cost, target=target))


def _reachable(graph: Graph) -> Graph:
    reached = np.zeros(graph.states, bool)
    fresh = np.array([graph.start])
    source = graph.sources()
    while len(fresh):
        reached[fresh] = True
        found = np.zeros(graph.states, bool)
        found[graph.target[reached[source]]] = True
        fresh = np.flatnonzero(found & ~reached)
    number = np.cumsum(reached) - 1
    kept = reached[source]
    return replace(
        graph,
        start=int(number[graph.start]),
        first_arc=np.concatenate(([0], np.cumsum(np.diff(graph.first_arc)[reached]))),
        phone=graph.phone[kept],
        word=graph.word[kept],
        cost=graph.cost[kept],
        target=number[graph.target[kept]].astype(np.int32),
        final=graph.final[reached],
    )


def _grammar(arpa: Path, words: Sequence[str]) -> Any:
    table = arpa.with_suffix(".words.txt")
    table.write_text("".join(f"{word} {index}\n" for index, word in enumerate(words)), encoding="utf-8")
    text = kaldilm.arpa2fst(
        input_arpa=str(arpa), disambig_symbol=BACKOFF, read_symbol_table=str(table), bos_symbol=START, eos_symbol=END
    )
    grammar = kaldifst.compile(text, acceptor=False)
    kaldifst.arcsort(grammar, sort_type="ilabel")
    return grammar


def _lexicon(pronunciations: Pronunciations, words: Mapping[str, int]) -> Any:
    """A loop over all words."""
    phone_ids = {phone: index for index, phone in enumerate(PHONES, start=1)}
    marks = _marks(pronunciations)
    first_mark = len(PHONES) + 1
    lines: list[str] = []
    states = 1
    for (word, phones), mark in marks.items():
        labels = [phone_ids[phone] for phone in phones] + ([first_mark + mark] if mark else [])
        if not labels:
            raise DataError(f"{word!r} has no phones; each pronunciation has at least one")
        at, out = 0, words[word]
        for label in labels[:-1]:
            lines.append(f"{at} {states} {label} {out}")
            at, out, states = states, 0, states + 1
        lines.append(f"{at} 0 {labels[-1]} {out}")
    lines += [f"0 0 {first_mark} {words[BACKOFF]}", "0"]
    return kaldifst.compile("\n".join(lines), acceptor=False)


def _marks(pronunciations: Pronunciations) -> dict[tuple[str, Pronunciation], int]:
    """The disambiguation symbol after each pronunciation: 1 and up for homophones and prefixes of others, else 0."""
    ways = [(word, tuple(phones)) for word, each in sorted(pronunciations.items()) for phones in each]
    shared = Counter(phones for _, phones in ways)
    prefixes = {phones[:size] for _, phones in ways for size in range(1, len(phones))}
    used: Counter[Pronunciation] = Counter()
    marks: dict[tuple[str, Pronunciation], int] = {}
    for word, phones in ways:
        if shared[phones] > 1 or phones in prefixes:
            used[phones] += 1
        marks[word, phones] = used[phones]
    return marks
