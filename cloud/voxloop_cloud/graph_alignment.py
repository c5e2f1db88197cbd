"""Which frames of the best path belong to which word."""

from collections.abc import Sequence
from dataclasses import dataclass

from voxloop_cloud.graph_lexicon import GraphLexicon, Pronunciation
from voxloop_proto.errors import ModelError


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring frames of one phone. frames: first and last, of those that were searched."""

    phone: int
    first: int
    last: int


def runs_of(path: Sequence[int], blank_id: int) -> list[Run]:
    """The phones of a path of token ids, one per frame: repeats merged, blanks dropped."""
    runs: list[Run] = []
    start = 0
    for frame in range(1, len(path) + 1):
        if frame == len(path) or path[frame] != path[start]:
            if path[start] != blank_id:
                runs.append(Run(path[start], start, frame - 1))
            start = frame
    return runs


def align(words: Sequence[int], runs: Sequence[Run], lexicon: GraphLexicon) -> list[Sequence[Run]]:
    """The runs of each word. The graph writes a word as soon as it is sure, or later, so only the lexicon knows.

    A path that ends within a word gives it the runs there are, or leaves runs over; those belong to no word. Raises
    ModelError if graph and lexicon are not of one bundle.
    """
    phones = tuple(run.phone for run in runs)
    reached: list[dict[int, int]] = [{0: 0}]
    for place, word in enumerate(words):
        last = place == len(words) - 1
        ends: dict[int, int] = {}
        for start in reached[-1]:
            for end in _ends(phones, start, lexicon.pronunciations(word), last):
                ends.setdefault(end, start)
        reached.append(ends)
    if not reached[-1]:
        raise ModelError("the graph says a word as its lexicon does not; export the bundle with one lexicon for both")
    end = max(reached[-1])
    aligned: list[Sequence[Run]] = []
    for ends in reversed(reached[1:]):
        aligned.append(runs[ends[end] : end])
        end = ends[end]
    return aligned[::-1]


def _ends(phones: Pronunciation, start: int, ways: Sequence[Pronunciation], last: bool) -> list[int]:
    """Where a word that begins at `start` can end."""
    ends: list[int] = []
    for way in ways:
        heard = phones[start : start + len(way)]
        if heard == (way if not last else way[: len(heard)]):
            ends.append(start + len(heard))
    return ends
