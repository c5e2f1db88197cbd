"""What tests of stages share: cutting a stream at random, and the law that it makes no difference."""

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

from voxloop_proto.audio import Pcm
from voxloop_proto.events import Chunk
from voxloop_proto.stage import Stage, run

Out = TypeVar("Out")


def cut(pcm: Pcm, lengths: Sequence[int]) -> list[Chunk]:
    """The samples as chunks of the given lengths, in a cycle, zero-length ones included; the rest as one chunk."""
    chunks, start = [], 0
    for length in itertools.islice(itertools.cycle(lengths or [len(pcm)]), 10_000):
        if start >= len(pcm):
            break
        chunks.append(Chunk(start, pcm[start : start + length]))
        start += length
    if start < len(pcm):
        chunks.append(Chunk(start, pcm[start:]))
    return chunks


def assert_cut_independent(
    make_stage: Callable[[], Stage[Chunk, Out]],
    pcm: Pcm,
    lengths: Sequence[int],
    essence: Callable[[list[Out]], object],
) -> None:
    """A fresh stage must make the same of a stream in one piece and of the same stream in pieces.

    essence: what of the output must be equal, as a value that compares with ==.
    """
    whole = essence(list(run(make_stage(), [Chunk(0, pcm)])))
    pieces = essence(list(run(make_stage(), cut(pcm, lengths))))
    assert whole == pieces, f"cut into {list(lengths)}: {pieces!r} differs from {whole!r}"
