"""Puts hotwords in the place of words that explain the same sound worse."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from voxloop_cloud.decoder import LogProbs
from voxloop_cloud.forced_alignment import force
from voxloop_cloud.graph_alignment import Run
from voxloop_cloud.graph_path import Costs, Heard, HeardWord
from voxloop_cloud.hotword_spotter import HotwordTrie, Reading, Spotted

_OVERLAP_FRAMES: Final = 2
"""So many frames of a word that stays may be a hotword's, if most are left: where one ends is never quite sure."""
_MOST_TRIES: Final = 64
"""Spans that are aligned exactly for one text, the most promising first."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A place for a reading: words first to last give way, frames start to end are its; the last ones not included."""

    reading: int
    first: int
    last: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Swap:
    span: _Span
    gain: float
    runs: Sequence[Run]


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """The part of a best path that may still change: its words, and its frames from `floor` on.

    paid: (T + 1,) what the path has cost before each frame and after the last · log_probs: (T, V) float32.
    """

    heard: Sequence[Heard]
    floor: int
    paid: Costs
    log_probs: LogProbs

    @property
    def end(self) -> int:
        """One past its last frame."""
        return self.floor + len(self.log_probs)

    def paid_within(self, span: _Span) -> float:
        """What the path has paid for the frames of a span."""
        return float(self.paid[span.end - self.floor] - self.paid[span.start - self.floor])


class HotwordSwapper:
    """One stream's. Decides by costs: what the best path has paid, sound and grammar, for the frames of some
    neighbouring words, against the hotword's phones over just those frames at the same acoustic scale, and `cost`."""

    def __init__(self, trie: HotwordTrie, blank_id: int, acoustic_scale: float, cost: float) -> None:
        """cost: of each hotword, in nats, instead of the grammar's."""
        self._trie = trie
        self._blank_id = blank_id
        self._scale = acoustic_scale
        self._cost = cost
        self._alignments: dict[tuple[int, int, int], tuple[float, Sequence[Run]]] = {}

    def swap(self, passage: Passage, spotted: Spotted) -> list[Heard]:
        """The passage's words with hotwords among them: the best first, then what does not overlap with it."""
        self._alignments = {key: found for key, found in self._alignments.items() if key[1] >= passage.floor}
        taken: list[_Swap] = []
        for swap in sorted(self._swaps(passage, spotted), key=lambda swap: -swap.gain):
            if all(_apart(swap.span, other.span) for other in taken):
                taken.append(swap)
        out = list(passage.heard)
        for swap in sorted(taken, key=lambda swap: swap.span.start, reverse=True):
            first, last = swap.span.first, swap.span.last
            numbers = tuple(number for each in passage.heard[first:last] for number in each.numbers)
            hotword = _to_heard(self._trie.readings[swap.span.reading], numbers, swap.runs)
            before = [each.within(0, hotword.start) for each in out[max(0, first - 1) : first]]
            after = [each.within(hotword.end, passage.end) for each in out[last : last + 1]]
            out[max(0, first - 1) : last + 1] = [*before, hotword, *after]
        return out

    def _swaps(self, passage: Passage, spotted: Spotted) -> Iterator[_Swap]:
        """Those that gain something. Only the best hopes are aligned."""
        hopes = self._hopes(passage, spotted)
        for span in sorted(hopes, key=lambda span: -hopes[span])[:_MOST_TRIES]:
            log_prob, runs = self._aligned(span, passage)
            gain = passage.paid_within(span) + self._scale * log_prob - self._cost
            if gain > 0:
                yield _Swap(span, gain, runs)

    def _aligned(self, span: _Span, passage: Passage) -> tuple[float, Sequence[Run]]:
        """A reading over a span's frames. They stay as they are, so what was aligned once holds."""
        key = span.reading, span.start, span.end
        if key not in self._alignments:
            frames = passage.log_probs[span.start - passage.floor : span.end - passage.floor]
            log_prob, runs = force(frames, self._trie.readings[span.reading].phones, self._blank_id)
            shifted = [Run(run.phone, run.first + span.start, run.last + span.start) for run in runs]
            self._alignments[key] = log_prob, shifted
        return self._alignments[key]

    def _hopes(self, passage: Passage, spotted: Spotted) -> dict[_Span, float]:
        """The most that each span can gain: what is missing of a spotted reading cannot become less."""
        best = np.cumsum(passage.log_probs.max(axis=1, initial=-np.inf), dtype=np.float64)
        lost = passage.paid + self._scale * np.concatenate(([0.0], best))
        starts, ends = ([getattr(word, edge) for word in passage.heard] for edge in ("start", "end"))
        widest_start = np.concatenate(([passage.floor], ends))[np.searchsorted(ends, spotted.start, "right")]
        widest_end = np.concatenate((starts, [passage.end]))[np.searchsorted(starts, spotted.end, "left")]
        within = lost[widest_end.astype(np.intp) - passage.floor] - lost[widest_start.astype(np.intp) - passage.floor]
        hope = within + self._scale * spotted.score - self._cost
        hopes: dict[_Span, float] = {}
        for place in np.flatnonzero(hope > 0).tolist():
            found = int(spotted.reading[place]), int(spotted.start[place]), int(spotted.end[place])
            for span in _spans(*found, passage):
                hopes[span] = max(float(hope[place]), hopes.get(span, 0.0))
        return hopes


def _spans(reading: int, start: int, end: int, passage: Passage) -> set[_Span]:
    """Where a reading spotted in frames start to end may stand: the words at its edges give way, or stay if only a
    few of their frames are covered."""
    heard = passage.heard
    first = next((place for place, word in enumerate(heard) if word.end > start), len(heard))
    last = next((place for place, word in enumerate(heard) if word.start >= end), len(heard))
    starts = [(first, heard[first - 1].end if first else passage.floor)]
    if first < last and _may_stay(heard[first], heard[first].end - start):
        starts.append((first + 1, start))
    ends = [(last, heard[last].start if last < len(heard) else passage.end)]
    if first < last and _may_stay(heard[last - 1], end - heard[last - 1].start):
        ends.append((last - 1, end))
    return {
        _Span(reading, first, last, start, end)
        for (first, start), (last, end) in product(starts, ends)
        if first <= last and start < end
    }


def _may_stay(word: Heard, covered_frames: int) -> bool:
    return covered_frames <= _OVERLAP_FRAMES and 2 * covered_frames < word.end - word.start


def _apart(one: _Span, other: _Span) -> bool:
    return (one.end <= other.start and one.last <= other.first) or (other.end <= one.start and other.last <= one.first)


def _to_heard(reading: Reading, numbers: tuple[int, ...], runs: Sequence[Run]) -> Heard:
    words: list[HeardWord] = []
    for text, way in zip(reading.words, reading.ways, strict=True):
        its, runs = runs[: len(way)], runs[len(way) :]
        words.append(HeardWord(text, its, its[0].first, its[-1].last + 1))
    return Heard(numbers, tuple(words), words[0].start, words[-1].end)
