"""A session's hotwords made ready for the search, and the lists that were made ready lately."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_decoder import DecodingGraph
from voxloop_cloud.graph_topology import to_fst, with_ctc
from voxloop_cloud.hotword_graph import phrase_graph
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.hotword_spotter import HotwordTrie, hotword_trie
from voxloop_cloud.pronouncer import Pronouncer, SpokenPhrase
from voxloop_proto.errors import ContractError

MOST_LISTS: Final = 32
"""Lists that are kept; one of 1,000 phrases of two words takes about 3 MB."""

MOST_GUESSED_WORDS: Final = 500
"""Words of a list that the lexicon lacks: each takes milliseconds of the server's time."""


@dataclass(frozen=True, slots=True, eq=False)
class Hotwords:
    """A list made ready: a graph of its own if only these may be said, else what to look for in free speech."""

    count: int
    ready: DecodingGraph | HotwordTrie


class HotwordStore:
    """Makes lists ready and keeps the last `MOST_LISTS`. Any number of threads may ask at once; two that ask for the
    same new list at the same time both make it."""

    def __init__(self, pronouncer: Pronouncer, config: DecoderConfig, blank_id: int) -> None:
        self._pronouncer = pronouncer
        self._config = config
        self._blank_id = blank_id
        self._lock = threading.Lock()
        self._ready: OrderedDict[HotwordList, Hotwords] = OrderedDict()

    def prepare(self, hotwords: HotwordList) -> Hotwords:
        """The list, ready. Takes tens of milliseconds for 1,000 phrases, and 4 ms for each word that the lexicon lacks.

        Raises ContractError if a word cannot be said.
        """
        with self._lock:
            if found := self._ready.get(hotwords):
                self._ready.move_to_end(hotwords)
                return found
        made = self._make(hotwords)
        with self._lock:
            self._ready[hotwords] = made
            while len(self._ready) > MOST_LISTS:
                self._ready.popitem(last=False)
        return made

    def _make(self, hotwords: HotwordList) -> Hotwords:
        guessed = sum(word not in self._pronouncer for words in hotwords.phrases for word in words)
        if guessed > MOST_GUESSED_WORDS:
            raise ContractError(
                f"{guessed} of the hotwords' words are not in this bundle's lexicon; at most {MOST_GUESSED_WORDS} are "
                "said by their spelling: name fewer"
            )
        phrases = [self._say(place, words) for place, words in enumerate(hotwords.phrases, start=1)]
        make: Callable[[list[SpokenPhrase]], DecodingGraph | HotwordTrie] = (
            self._closed_graph if hotwords.only else self._trie
        )
        return Hotwords(len(phrases), make(phrases))

    def _closed_graph(self, phrases: list[SpokenPhrase]) -> DecodingGraph:
        graph, lexicon = phrase_graph(phrases, self._blank_id, self._config)
        blank_cost = self._config.phrase_blank_cost
        return DecodingGraph(to_fst(with_ctc(graph)), lexicon, self._blank_id, closed=True, blank_cost=blank_cost)

    def _trie(self, phrases: list[SpokenPhrase]) -> HotwordTrie:
        return hotword_trie(phrases, self._config.hotword_phone_limit)

    def _say(self, place: int, words: tuple[str, ...]) -> SpokenPhrase:
        ways = tuple(map(self._pronouncer.pronunciations, words))
        if not all(ways):
            raise ContractError(
                f"the {place}. of the distinct hotwords has a word that this bundle cannot say: its lexicon lacks it, "
                "and its spelling says nothing; leave it out, or serve a bundle with spelling.txt.xz"
            )
        return SpokenPhrase(words, ways)
