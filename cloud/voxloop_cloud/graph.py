"""A decoding graph as arrays, and its file: lexicon o grammar, from phones to words, small enough for a bundle."""

import lzma
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from voxloop_cloud.xz_file import read_xz
from voxloop_proto.errors import ContractError

GRAPH_FILE: Final = "graph.xz"
LEXICON_FILE: Final = "lexicon.txt.xz"

_MAGIC: Final = b"voxloop graph 1\n"
_SIZES: Final = struct.Struct("<5I")
_WEIGHT_STEPS: Final = 32
"""Weights are stored in steps of 1/32 nat: half a step is far below what one frame of sound says."""
_NO_FINAL: Final = np.uint16(0xFFFF)
_FILTERS: Final = ({"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 3, "lp": 0, "pb": 0},)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A weighted transducer of S states and A arcs, those of one state together.

    first_arc: (S + 1,) int64 · phone: (A,) uint8, 1 + the token id, 0 for none · word: (A,) int32, a line of the
    lexicon, 0 for none · cost, final: (A,) and (S,) float32, natural logarithms, negated, inf for not final ·
    target: (A,) int32. It starts in state `start`.
    """

    phones: int
    words: int
    start: int
    first_arc: npt.NDArray[np.int64]
    phone: npt.NDArray[np.uint8]
    word: npt.NDArray[np.int32]
    cost: npt.NDArray[np.float32]
    target: npt.NDArray[np.int32]
    final: npt.NDArray[np.float32]

    @property
    def states(self) -> int:
        return len(self.final)

    @property
    def arcs(self) -> int:
        return len(self.phone)

    def sources(self) -> npt.NDArray[np.int32]:
        """The state that each arc leaves, (A,)."""
        return np.repeat(np.arange(self.states, dtype=np.int32), np.diff(self.first_arc))


def write_graph(graph: Graph, path: Path) -> None:
    """Writes a graph, its costs rounded: columns of bytes under xz, as equal neighbours compress best."""
    steps = np.rint(np.concatenate((graph.cost, np.where(np.isinf(graph.final), 0, graph.final))) * _WEIGHT_STEPS)
    if steps.min(initial=0) < -32768 or steps.max(initial=0) > 32767:
        raise ContractError("a graph's costs must lie between -1024 and 1023; estimate its grammar again")
    cost, final = np.split(steps.astype(np.int16), [graph.arcs])
    heard = graph.word[graph.word > 0]
    columns = (
        _bytes_apart(np.diff(graph.first_arc).astype(np.uint32)),
        graph.phone.tobytes(),
        _bytes_apart(cost.view(np.uint16)),
        _bytes_apart((graph.target - graph.sources()).view(np.uint32)),
        np.packbits(graph.word > 0).tobytes(),
        _bytes_apart(heard.astype(np.uint32)),
        _bytes_apart(np.where(np.isinf(graph.final), _NO_FINAL, final.view(np.uint16))),
    )
    sizes = _SIZES.pack(graph.phones, graph.words, graph.start, graph.states, graph.arcs)
    path.write_bytes(lzma.compress(b"".join((_MAGIC, sizes, *columns)), filters=_FILTERS))


def read_graph(path: Path) -> Graph:
    """Reads what write_graph wrote. Raises ContractError if the file is anything else."""
    content = read_xz(path, "graph")
    if not content.startswith(_MAGIC):
        raise ContractError(f"{path} does not begin with {_MAGIC.decode().strip()!r}; export the bundle again")
    try:
        graph = _unpack(content)
    except (ValueError, IndexError, struct.error) as error:
        raise ContractError(f"{path} is broken ({error}); export the bundle again") from error
    return _checked(graph, path)


def _unpack(content: bytes) -> Graph:
    phones, words, start, states, arcs = _SIZES.unpack_from(content, len(_MAGIC))
    rest = memoryview(content)[len(_MAGIC) + _SIZES.size :]

    def take(count: int, width: int) -> memoryview:
        nonlocal rest
        if count * width > len(rest):
            raise ValueError(f"{count * width} bytes promised, {len(rest)} left")
        taken, rest = rest[: count * width], rest[count * width :]
        return taken

    leaving = _bytes_together(take(states, 4), np.uint32)
    if (left := int(leaving.sum(dtype=np.uint64))) != arcs:
        raise ValueError(f"{left} arcs leave its states, it has {arcs}")
    phone = np.frombuffer(take(arcs, 1), np.uint8)
    cost = _bytes_together(take(arcs, 2), np.uint16).view(np.int16)
    jump = _bytes_together(take(arcs, 4), np.uint32).view(np.int32)
    is_word = np.unpackbits(np.frombuffer(take(-(-arcs // 8), 1), np.uint8), count=arcs).astype(bool)
    word = np.zeros(arcs, np.int32)
    word[is_word] = _bytes_together(take(int(is_word.sum()), 4), np.uint32)
    final = _bytes_together(take(states, 2), np.uint16)
    if rest:
        raise ValueError(f"{len(rest)} bytes too many")
    return Graph(
        phones=phones,
        words=words,
        start=start,
        first_arc=np.concatenate(([0], np.cumsum(leaving, dtype=np.int64))),
        phone=phone,
        word=word,
        cost=cost.astype(np.float32) / np.float32(_WEIGHT_STEPS),
        target=jump + np.repeat(np.arange(states, dtype=np.int32), leaving),
        final=np.where(final == _NO_FINAL, np.inf, final.view(np.int16) / _WEIGHT_STEPS).astype(np.float32),
    )


def _checked(graph: Graph, path: Path) -> Graph:
    """What a search may rely on: no label or state that isn't there."""
    within = (
        0 <= graph.start < graph.states
        and int(graph.phone.max(initial=0)) <= graph.phones
        and 0 <= int(graph.word.min(initial=0)) <= int(graph.word.max(initial=0)) <= graph.words
        and 0 <= int(graph.target.min(initial=0)) <= int(graph.target.max(initial=0)) < graph.states
        and bool(np.isfinite(graph.final).any())
    )
    if not within:
        raise ContractError(f"{path} names states, phones or words that it does not have; export the bundle again")
    return graph


def _bytes_apart(column: npt.NDArray[np.unsignedinteger]) -> bytes:
    """All low bytes, then all next ones: the high ones are nearly all equal."""
    return np.ascontiguousarray(column.view(np.uint8).reshape(len(column), -1).T).tobytes()


def _bytes_together(content: memoryview, kind: type[np.unsignedinteger]) -> npt.NDArray[np.unsignedinteger]:
    width = np.dtype(kind).itemsize
    return np.ascontiguousarray(np.frombuffer(content, np.uint8).reshape(width, -1).T).view(kind).reshape(-1)
