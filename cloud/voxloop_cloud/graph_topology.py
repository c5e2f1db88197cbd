"""From lexicon o grammar to what a CTC model writes: blanks anywhere, a phone for any number of frames."""

import struct
import tempfile
from pathlib import Path
from typing import Any, Final

import kaldifst
import numpy as np
import numpy.typing as npt

from voxloop_cloud.graph import Graph

_STATE: Final = np.dtype(
    [("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("silent_inputs", "<u4"), ("silent_outputs", "<u4")]
)
_ARC: Final = np.dtype([("input", "<i4"), ("output", "<i4"), ("cost", "<f4"), ("target", "<i4")])
_FST_MAGIC: Final = 2125659606
_FST_VERSION: Final = 2
_EXPANDED: Final = 1
"""OpenFst's property bit that every const FST has."""

_Ints = npt.NDArray[np.int64]


def with_ctc(graph: Graph) -> Graph:
    """The composition of the CTC topology (Graves et al. 2006; Miao et al. 2015) with a graph, exactly.

    A state is a pair of the graph's state and the phone that may still be held, 0 after a blank. Input labels are those
    of the model, plus one: phones as in the graph, then the blank, 1 + phones. A phone that follows itself needs a
    blank between. The result is equal to what kaldifst.compose makes of both.
    """
    blank, labels = graph.phones + 1, graph.phones + 1
    pairs = _pairs(graph, labels)
    state, held = (pairs // labels).astype(np.int32), (pairs % labels).astype(np.uint8)
    source, arc = _arcs_of(graph, state)
    phone, holding = graph.phone[arc], held[source]
    kept = (phone == 0) | (phone != holding)
    source, arc, phone, holding = source[kept], arc[kept], phone[kept], holding[kept]
    own = 1 + (held > 0)
    counts = np.bincount(source, minlength=len(pairs)) + own
    first_arc = np.concatenate(([0], np.cumsum(counts)))
    place = np.arange(len(source)) + np.cumsum(own)[source]
    everyone, holders = first_arc[:-1], np.flatnonzero(held)
    out = Graph(
        phones=blank,
        words=graph.words,
        start=int(np.searchsorted(pairs, graph.start * labels)),
        first_arc=first_arc,
        phone=np.full(first_arc[-1], blank, np.uint8),
        word=np.zeros(first_arc[-1], np.int32),
        cost=np.zeros(first_arc[-1], np.float32),
        target=np.empty(first_arc[-1], np.int32),
        final=graph.final[state],
    )
    out.target[everyone] = np.searchsorted(pairs, np.arange(graph.states) * labels)[state]
    out.phone[everyone[holders] + 1] = held[holders]
    out.target[everyone[holders] + 1] = holders
    out.phone[place] = phone
    out.word[place] = graph.word[arc]
    out.cost[place] = graph.cost[arc]
    heard = np.searchsorted(pairs, graph.target * np.int64(labels) + graph.phone)
    out.target[place] = heard[arc]
    silent = np.flatnonzero(phone == 0)
    out.target[place[silent]] = np.searchsorted(pairs, graph.target[arc[silent]] * np.int64(labels) + holding[silent])
    return out


def _arcs_of(graph: Graph, state: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The arcs of each of the given states in turn: the place in `state`, and the arc."""
    first, leaving = graph.first_arc[state], np.diff(graph.first_arc)[state]
    source = np.repeat(np.arange(len(state), dtype=np.int32), leaving)
    ahead = (first - np.cumsum(leaving) + leaving).astype(np.int32)
    return source, np.arange(len(source), dtype=np.int32) + ahead[source]


def _pairs(graph: Graph, labels: int) -> _Ints:
    """All reachable pairs as state * labels + held phone, ascending."""
    found = np.zeros(graph.states * labels, bool)
    found[::labels] = True
    heard = graph.phone > 0
    found[graph.target[heard] * np.int64(labels) + graph.phone[heard]] = True
    silent = np.flatnonzero(~heard)
    by_source = graph.sources()[silent]
    fresh = np.flatnonzero(found)
    while len(fresh):
        state, held = fresh // labels, fresh % labels
        first = np.searchsorted(by_source, state, side="left")
        count = np.searchsorted(by_source, state, side="right") - first
        at = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
        reached = graph.target[silent[at]] * np.int64(labels) + np.repeat(held, count)
        fresh = reached[~found[reached]]
        found[fresh] = True
    return np.flatnonzero(found)


def to_fst(graph: Graph) -> Any:  # kaldifst.StdConstFst
    """The graph as OpenFst's const FST, which is what kaldi-decoder searches."""
    with tempfile.NamedTemporaryFile(suffix=".fst") as file:
        _write_const_fst(graph, Path(file.name))
        return kaldifst.StdConstFst.read(file.name)


def from_fst(fst: Any, phones: int, words: int) -> Graph:
    """A graph of any of kaldifst's; input labels above `phones` (disambiguation symbols) become 0."""
    with tempfile.NamedTemporaryFile(suffix=".fst") as file:
        kaldifst.StdConstFst(fst).write(file.name)
        content = Path(file.name).read_bytes()
    at = 4
    for _ in range(2):  # the types of the FST and of its arcs
        (length,) = struct.unpack_from("<i", content, at)
        at += 4 + length
    _, _, _, start, states, arcs = struct.unpack_from("<iiQqqq", content, at)
    at += struct.calcsize("<iiQqqq")
    state = np.frombuffer(content, _STATE, states, at)
    arc = np.frombuffer(content, _ARC, arcs, at + states * _STATE.itemsize)
    return Graph(
        phones=phones,
        words=words,
        start=start,
        first_arc=np.concatenate(([0], np.cumsum(state["arcs"], dtype=np.int64))),
        phone=np.where(arc["input"] > phones, 0, arc["input"]).astype(np.uint8),
        word=arc["output"].copy(),
        cost=arc["cost"].copy(),
        target=arc["target"].copy(),
        final=state["final"].copy(),
    )


def _write_const_fst(graph: Graph, path: Path) -> None:
    leaving = np.diff(graph.first_arc)
    state = np.zeros(graph.states, _STATE)
    state["final"], state["first"], state["arcs"] = graph.final, graph.first_arc[:-1], leaving
    source = graph.sources()
    state["silent_inputs"] = np.bincount(source[graph.phone == 0], minlength=graph.states)
    state["silent_outputs"] = np.bincount(source[graph.word == 0], minlength=graph.states)
    arc = np.empty(graph.arcs, _ARC)
    arc["input"], arc["output"], arc["cost"], arc["target"] = graph.phone, graph.word, graph.cost, graph.target
    header = struct.pack("<i", _FST_MAGIC)
    for name in (b"const", b"standard"):
        header += struct.pack("<i", len(name)) + name
    header += struct.pack("<iiQqqq", _FST_VERSION, 0, _EXPANDED, graph.start, graph.states, graph.arcs)
    with path.open("wb") as file:
        for part in (header, state, arc):
            file.write(part if isinstance(part, bytes) else part.tobytes())
