"""Lexicon o grammar, compiled and searched, against trying out every sentence."""

from pathlib import Path

import kaldifst
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxloop_cloud.graph import GRAPH_FILE, Graph, read_graph, write_graph
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_decoder import DecodingGraph, GraphDecoder, decoding_graph
from voxloop_cloud.graph_lexicon import GraphLexicon
from voxloop_cloud.graph_testing import best_words, random_frames
from voxloop_cloud.graph_topology import from_fst, to_fst, with_ctc
from voxloop_training.grammar.graph import compile_graph
from voxloop_training.grammar.ngram import END, START, Ngram, normalized, write_arpa
from voxloop_training.lexicon import PHONES

SAID = {
    "to": (("T", "UW"), ("T", "AH")),
    "two": (("T", "UW"),),
    "too": (("T", "UW"),),
    "tooth": (("T", "UW", "TH"),),
    "ah": (("AH",),),
    "a": (("AH",), ("EY",)),
}
IDS = {phone: index for index, phone in enumerate(PHONES)}
HEARD = sorted({IDS[phone] for ways in SAID.values() for way in ways for phone in way})
WIDE = DecoderConfig(
    acoustic_scale=1.0,
    word_insertion=0.0,
    beam=100,
    max_active=100_000,
    blank_threshold=1,
    commit_ms=60_000,
    least_evidence=-100,
)


def grammar() -> Ngram:
    ngram = Ngram(3)
    ngram.probabilities[0] = {(word,): -0.6 - 0.07 * at for at, word in enumerate((*SAID, END))}
    ngram.probabilities[1] = {(START, "two"): -0.4, ("two", "tooth"): -0.3, ("to", "a"): -0.5, ("a", "two"): -0.6}
    ngram.probabilities[2] = {("to", "a", "two"): -0.1, (START, "two", "tooth"): -0.05}
    ngram.backoffs = {}
    ngram.probabilities[1]["two", END] = -0.6
    return normalized(ngram)


def cost_of(words: tuple[str, ...]) -> float:
    """A graph may back off from an n-gram that it has, where that is cheaper; so the least of all ways counts."""
    costs: dict[tuple[str, ...], float] = {(START,): 0.0}
    for word in (*words, END):
        for history in sorted(costs, key=len, reverse=True):
            while history:
                backed_off = costs[history] - GRAMMAR.backoffs.get(history, 0.0)
                history = history[1:]  # noqa: PLW2901 (down to the empty one)
                costs[history] = min(backed_off, costs.get(history, np.inf))
        following: dict[tuple[str, ...], float] = {}
        for history, cost in costs.items():
            log10 = GRAMMAR.probabilities[len(history)].get((*history, word))
            if log10 is not None:
                after = (*history, word)[-2:]
                following[after] = min(cost - log10, following.get(after, np.inf))
        costs = following
    return min(costs.values()) * float(np.log(10))


GRAMMAR = grammar()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    arpa = tmp_path_factory.mktemp("grammar") / "tiny.arpa"
    write_arpa(GRAMMAR, arpa)
    compiled, words = compile_graph(arpa, SAID)
    assert words == ["<eps>", *sorted(SAID)]
    return compiled


@pytest.fixture(scope="module")
def lexicon() -> GraphLexicon:
    return GraphLexicon(
        [(word, tuple(tuple(IDS[phone] for phone in way) for way in ways)) for word, ways in sorted(SAID.items())]
    )


@pytest.fixture(scope="module")
def ready(graph: Graph, lexicon: GraphLexicon) -> DecodingGraph:
    return decoding_graph(graph, lexicon, WIDE)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), frames=st.integers(0, 4))
def test_the_text_is_the_best_one_of_all(seed: int, frames: int, ready: DecodingGraph, lexicon: GraphLexicon) -> None:
    log_probs = np.full((frames, len(PHONES) + 1), -40.0, np.float32)
    log_probs[:, [*HEARD, len(PHONES)]] = random_frames(seed, frames, len(HEARD) + 1, sharpness=4.0)
    decoder = GraphDecoder(ready, WIDE, 20.0)
    decoder.push(log_probs)
    found = tuple(decoder.result().text.split())
    best = best_words(log_probs, lexicon, cost_of, most_words=4)
    assert found == best


def test_the_topology_is_what_kaldifst_composes(graph: Graph) -> None:
    phones, blank = graph.phones, graph.phones + 1
    lines = [f"0 0 {blank} 0"]
    for phone in range(1, phones + 1):
        lines += [f"0 {phone} {phone} {phone}", f"{phone} {phone} {phone} 0", f"{phone} 0 {blank} 0", f"{phone}"]
        lines += [f"{phone} {other} {other} {other}" for other in range(1, phones + 1) if other != phone]
    topology = kaldifst.compile("\n".join([*lines, "0"]), acceptor=False)
    kaldifst.arcsort(topology, sort_type="olabel")
    vector = kaldifst.StdVectorFst(to_fst(graph))
    kaldifst.arcsort(vector, sort_type="ilabel")
    composed = from_fst(kaldifst.compose(topology, vector), blank, graph.words)
    ours = with_ctc(graph)
    assert best_costs(ours) == pytest.approx(best_costs(composed), abs=1e-3)


def best_costs(graph: Graph) -> list[float]:
    """Of some strings of labels: the cheapest way through the graph."""
    random = np.random.default_rng(0)
    labels = [*(phone + 1 for phone in HEARD), graph.phones]
    costs = [_cheapest(graph, random.choice(labels, random.integers(0, 6)).tolist()) for _ in range(300)]
    assert np.isfinite(costs).sum() > 30
    return [cost if np.isfinite(cost) else 1e9 for cost in costs]


def _cheapest(graph: Graph, string: list[int]) -> float:
    def closed(costs: dict[int, float]) -> dict[int, float]:
        queue = list(costs)
        while queue:
            state = queue.pop()
            for arc in range(graph.first_arc[state], graph.first_arc[state + 1]):
                total, target = costs[state] + float(graph.cost[arc]), int(graph.target[arc])
                if graph.phone[arc] == 0 and total < costs.get(target, np.inf) - 1e-9:
                    costs[target] = total
                    queue.append(target)
        return costs

    costs = closed({graph.start: 0.0})
    for label in string:
        following: dict[int, float] = {}
        for state, cost in costs.items():
            for arc in range(graph.first_arc[state], graph.first_arc[state + 1]):
                if graph.phone[arc] == label:
                    total, target = cost + float(graph.cost[arc]), int(graph.target[arc])
                    following[target] = min(total, following.get(target, np.inf))
        costs = closed(following)
    return min((cost + float(graph.final[state]) for state, cost in costs.items()), default=np.inf)


def test_a_graph_survives_its_file_but_for_rounding(graph: Graph, tmp_path: Path) -> None:
    write_graph(graph, tmp_path / GRAPH_FILE)
    again = read_graph(tmp_path / GRAPH_FILE)
    assert (again.phones, again.words, again.start) == (graph.phones, graph.words, graph.start)
    for name in ("first_arc", "phone", "word", "target"):
        assert np.array_equal(getattr(again, name), getattr(graph, name))
    assert np.abs(again.cost - graph.cost).max() <= 1 / 64
    assert np.array_equal(np.isinf(again.final), np.isinf(graph.final))
