"""Where hotwords may have been said: all of them are looked for at once, frame by frame, from any frame on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from voxloop_cloud.decoder import LogProbs
from voxloop_cloud.graph_lexicon import Pronunciation
from voxloop_cloud.pronouncer import SpokenPhrase
from voxloop_proto.errors import ContractError

MOST_NODES: Final = 100_000
"""Phones of all readings, beginnings shared: what a frame of sound costs is theirs. 1,000 names have about 12,000."""

_Ints = npt.NDArray[np.intp]
_Floats = npt.NDArray[np.float32]

_NEVER = np.float32(-np.inf)


@dataclass(frozen=True, slots=True)
class Reading:
    """A phrase said in one way: the phones of each of its words."""

    words: tuple[str, ...]
    ways: tuple[Pronunciation, ...]

    @property
    def phones(self) -> Pronunciation:
        """All of them in a row."""
        return tuple(phone for way in self.ways for phone in way)


@dataclass(frozen=True, slots=True, eq=False)
class HotwordTrie:
    """The readings of all phrases, beginnings shared. Node 0 is the root; a node comes after its parent.

    parent, phone: (M,) of nodes 1 to M · repeats: (M,) bool, the phone is the parent's · end: (R,) the node of each
    reading · least: (R,) float32, the score that it must reach to be spotted.
    """

    phrases: int
    readings: tuple[Reading, ...]
    parent: _Ints
    phone: _Ints
    repeats: npt.NDArray[np.bool_]
    end: _Ints
    least: _Floats


def hotword_trie(phrases: Sequence[SpokenPhrase], worst_phone: float) -> HotwordTrie:
    """worst_phone: how far a phone may be below each frame's best token, on average over a reading, in nats.

    Of phrases that sound alike the first one counts. 1,000 names take about 10 ms. Raises ContractError for more than
    MOST_NODES.
    """
    nodes: dict[Pronunciation, int] = {(): 0}
    readings: dict[int, Reading] = {}
    for phrase in phrases:
        for ways in phrase.readings():
            reading = Reading(phrase.words, ways)
            phones = reading.phones
            for length in range(1, len(phones) + 1):
                nodes.setdefault(phones[:length], len(nodes))
            if len(nodes) > MOST_NODES:
                raise ContractError(
                    f"the hotwords can be said in more than {MOST_NODES} phones; name fewer or shorter ones"
                )
            readings.setdefault(nodes[phones], reading)
    paths = list(nodes)[1:]
    return HotwordTrie(
        phrases=len(phrases),
        readings=tuple(readings.values()),
        parent=np.array([nodes[path[:-1]] for path in paths], np.intp),
        phone=np.array([path[-1] for path in paths], np.intp),
        repeats=np.array([path[-2:-1] == path[-1:] for path in paths], bool),
        end=np.array(list(readings), np.intp),
        least=np.array([-worst_phone * len(reading.phones) for reading in readings.values()], np.float32),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Spotted:
    """Readings (n,) that may have been said, from frame `start` to before frame `end`; score: (n,) float32, at most 0.

    A score is the log-probability of the phones against that of each frame's best token: nats that are missing.
    """

    reading: _Ints
    start: _Ints
    end: _Ints
    score: _Floats


class HotwordSpotter:
    """One stream's tokens, passed from phone to phone of the trie with a blank or none between, from any frame on.

    Costs about 12 operations on arrays of the trie's size for each frame, whatever is said.
    """

    def __init__(self, trie: HotwordTrie, blank_id: int) -> None:
        nodes = len(trie.parent) + 1
        self._trie = trie
        self._blank_id = blank_id
        self._frames = 0
        self._in_phone = np.full(nodes, _NEVER)
        self._in_blank = np.full(nodes, _NEVER)
        self._phone_start = np.zeros(nodes, np.intp)
        self._blank_start = np.zeros(nodes, np.intp)
        self._found: list[Spotted] = []

    def push(self, log_probs: LogProbs) -> None:
        """Takes the next frames, (T, V) float32."""
        missing = log_probs - log_probs.max(axis=1, keepdims=True)
        for frame in missing:
            self._step(frame)

    def spotted(self, since: int) -> Spotted:
        """What was spotted so far that begins at frame `since` or later, in the order of the ends; the rest is gone."""
        every = _joined(self._found)
        later = every.start >= since
        kept = Spotted(every.reading[later], every.start[later], every.end[later], every.score[later])
        self._found = [kept]
        return kept

    def _step(self, missing: _Floats) -> None:
        trie = self._trie
        self._in_blank[0], self._blank_start[0] = 0.0, self._frames
        from_phone = self._in_phone[trie.parent]
        from_phone[trie.repeats] = _NEVER
        from_blank = self._in_blank[trie.parent]
        start = np.where(from_phone > from_blank, self._phone_start[trie.parent], self._blank_start[trie.parent])
        entering = np.maximum(from_phone, from_blank)

        leaves = self._in_phone > self._in_blank
        self._blank_start = np.where(leaves, self._phone_start, self._blank_start)
        self._in_blank = np.maximum(self._in_phone, self._in_blank) + missing[self._blank_id]

        enters = entering > self._in_phone[1:]
        self._phone_start[1:] = np.where(enters, start, self._phone_start[1:])
        self._in_phone[1:] = np.maximum(entering, self._in_phone[1:]) + missing[trie.phone]
        self._frames += 1
        self._note()

    def _note(self) -> None:
        score = self._in_phone[self._trie.end]
        reading = np.flatnonzero(score >= self._trie.least)
        if len(reading):
            start = self._phone_start[self._trie.end[reading]]
            self._found.append(Spotted(reading, start, np.full(len(reading), self._frames), score[reading]))


def _joined(parts: Sequence[Spotted]) -> Spotted:
    if not parts:
        none = np.zeros(0, np.intp)
        return Spotted(none, none, none, np.zeros(0, np.float32))
    return Spotted(
        np.concatenate([part.reading for part in parts]),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.end for part in parts]),
        np.concatenate([part.score for part in parts]),
    )
