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
    state, held = pairs // labels, pairs % labels
    leaving = np.diff(graph.first_arc)[state]
    source = np.repeat(np.arange(len(pairs)), leaving)
    arc = np.arange(len(source)) - np.repeat(np.cumsum(leaving) - leaving, leaving) + graph.first_arc[state][source]
    phone, holding = graph.phone[arc].astype(np.int64), held[source]
    kept = (phone == 0) | (phone != holding)
    source, arc, phone, holding = source[kept], arc[kept], phone[kept], holding[kept]
    target = np.searchsorted(pairs, graph.target[arc] * np.int64(labels) + np.where(phone == 0, holding, phone))
    everyone, holders = np.arange(len(pairs)), np.flatnonzero(held)
    released = np.searchsorted(pairs, state * labels)
    sources = np.concatenate((source, everyone, holders))
    order = np.argsort(sources, kind="stable")
    extra = len(everyone) + len(holders)
    return Graph(
        phones=blank,
        words=graph.words,
        start=int(np.searchsorted(pairs, graph.start * labels)),
        first_arc=np.concatenate(([0], np.cumsum(np.bincount(sources, minlength=len(pairs))))),
        phone=np.concatenate((phone, np.full(len(everyone), blank), held[holders]))[order].astype(np.uint8),
        word=np.concatenate((graph.word[arc], np.zeros(extra, np.int32)))[order],
        cost=np.concatenate((graph.cost[arc], np.zeros(extra, np.float32)))[order],
        target=np.concatenate((target, released, holders))[order].astype(np.int32),
        final=graph.final[state],
    )


def _pairs(graph: Graph, labels: int) -> _Ints:
    """All reachable pairs as state * labels + held phone, ascending."""
    target, phone = graph.target.astype(np.int64), graph.phone.astype(np.int64)
    heard = phone > 0
    found = np.unique(np.concatenate((np.arange(graph.states) * labels, target[heard] * labels + phone[heard])))
    silent = np.flatnonzero(~heard)
    by_source = graph.sources()[silent].astype(np.int64)
    fresh = found
    while len(fresh):
        state, held = fresh // labels, fresh % labels
        first = np.searchsorted(by_source, state, side="left")
        count = np.searchsorted(by_source, state, side="right") - first
        at = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
        reached = np.unique(target[silent[at]] * labels + np.repeat(held, count))
        fresh = np.setdiff1d(reached, found, assume_unique=True)
        found = np.union1d(found, fresh)
    return found


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
