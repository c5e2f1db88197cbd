"""From log-probabilities of phones to words: a beam search through lexicon and grammar, by kaldi-decoder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import kaldi_decoder
import numpy as np

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.decoder import Decoded, DecodedAlternative, DecodedWord, Hypothesis, LogProbs
from voxloop_cloud.graph import GRAPH_FILE, LEXICON_FILE, Graph, read_graph
from voxloop_cloud.graph_alignment import Run
from voxloop_cloud.graph_alternatives import best_texts, shares
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_lexicon import GraphLexicon, read_lexicon
from voxloop_cloud.graph_path import BestPath, Heard, HeardWord
from voxloop_cloud.graph_topology import to_fst, with_ctc
from voxloop_cloud.hotword_search import HotwordSearch
from voxloop_cloud.hotword_spotter import HotwordTrie
from voxloop_proto.errors import ContractError

_COMMIT_FRAMES: Final = 64
"""Words become stable at multiples of so many frames, wherever the pushes end, so that cuts change nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodingGraph:
    """What all streams of a bundle, or of a list of phrases, share. fst: kaldifst.StdConstFst, only read.

    closed: the text is all there may be; a sentence that is not whole says nothing, and no word is stable before the
    end. blank_cost: taken off each blank's log-probability.
    """

    fst: Any
    lexicon: GraphLexicon
    blank_id: int
    closed: bool = False
    blank_cost: float = 0.0


def load_decoding_graph(bundle: Bundle) -> DecodingGraph:
    """Reads a bundle's graph and makes it ready: seconds. Raises ContractError if it is not for this bundle."""
    file = bundle.path / GRAPH_FILE
    graph = read_graph(file)
    lexicon = read_lexicon(bundle.path / LEXICON_FILE, bundle.tokens)
    if (graph.phones, graph.words) != (bundle.blank_id, len(lexicon)):
        raise ContractError(
            f"{file} has {graph.phones} phones and {graph.words} words; the model writes {bundle.blank_id} phones and "
            f"{LEXICON_FILE} has {len(lexicon)} words; export the bundle with the graph of its model"
        )
    return decoding_graph(graph, lexicon, bundle.config.decoder)


def decoding_graph(graph: Graph, lexicon: GraphLexicon, config: DecoderConfig) -> DecodingGraph:
    """A graph ready to be searched."""
    rewarded = replace(graph, cost=np.where(graph.word > 0, graph.cost - np.float32(config.word_insertion), graph.cost))
    return DecodingGraph(to_fst(with_ctc(rewarded)), lexicon, blank_id=graph.phones)


class GraphDecoder:
    """One stream's search.

    A hypothesis is the best path so far. Its words may change until they ended commit_ms ago: then they are stable, and
    stay even if a later best path has others in their place, which is rare and costs less than text that flickers.
    Blanks that are sure are searched once per run of them; a run of blanks says the same however long it is.
    With hotwords, what is looked at is the best path with those in it that explain their frames better.
    A grammar makes words of any sound. Of a sneeze they are hardly likelier than silence: they may show in a
    hypothesis, but never become stable, nor the result (least_evidence).
    """

    def __init__(
        self, graph: DecodingGraph, config: DecoderConfig, frame_ms: float, hotwords: HotwordTrie | None = None
    ) -> None:
        """frame_ms: time between two frames of log-probabilities. hotwords: none for a closed graph, which has them."""
        self._graph = graph
        self._config = config
        self._frame_ms = frame_ms
        self._sure_blank = math.log(config.blank_threshold)
        self._search = kaldi_decoder.FasterDecoder(
            graph.fst, kaldi_decoder.FasterDecoderOptions(beam=config.beam, max_active=config.max_active)
        )
        self._search.init_decoding()
        self._frames = 0
        self._in_blank = False
        self._searched: list[LogProbs] = []  # one (V,) each
        self._places: list[int] = []
        self._committed: list[Heard] = []
        self._lowest_blank = 0.0
        self._hypothesis: Hypothesis | None = None
        self._hotwords = hotwords and HotwordSearch(hotwords, config, graph.blank_id)

    @property
    def frames(self) -> int:
        """Frames taken so far."""
        return self._frames

    @property
    def searched_frames(self) -> int:
        """Those of them that the search went through."""
        return len(self._places)

    def push(self, log_probs: LogProbs) -> None:
        """Takes the next frames, (T, V) float32, T of any size."""
        while len(log_probs):
            self._hypothesis = None
            size = _COMMIT_FRAMES - self._frames % _COMMIT_FRAMES
            self._take(log_probs[:size])
            log_probs = log_probs[size:]
            if self._frames % _COMMIT_FRAMES == 0 and not self._graph.closed:
                self._commit()

    def hypothesis(self) -> Hypothesis:
        """The best path's words so far; the committed ones are stable."""
        if self._hypothesis is None:
            self._hypothesis = Hypothesis(_text(self._words(final=False)), len(_text(self._committed)))
        return self._hypothesis

    def result(self) -> Decoded:
        """Text, words and confidence of all frames so far, as if the sentence ended here.

        A phone's confidence is the model's highest probability for it among its frames; a word's is the mean over its
        phones, the text's the mean over all of them. Of a null transcript as in CtcDecoder.
        """
        heard = _written(self._words(final=True))
        heard = heard if self._committed or (self._is_evident(heard) and self._is_sure(heard)) else []
        confidences = [[self._probability(run) for run in word.runs] for word in heard]
        words = tuple(self._to_word(word, found) for word, found in zip(heard, confidences, strict=True))
        phones = [probability for found in confidences for probability in found]
        confidence = _mean(phones) if words else _probability(self._lowest_blank) if self._frames else 0.0
        tokens = tuple(run.phone for word in heard for run in word.runs)
        text = " ".join(word.text for word in heard)
        return Decoded(text, words, confidence, tokens, self._alternatives(text))

    def _alternatives(self, text: str) -> tuple[DecodedAlternative, ...]:
        count = self._config.alternatives
        if not count or not text:
            return ()
        scaled = np.stack(self._searched) * np.float32(self._config.acoustic_scale)
        scaled[:, self._graph.blank_id] -= self._config.acoustic_scale * self._graph.blank_cost
        found = best_texts(self._graph.fst, scaled, count + 1)
        spelled = [" ".join(filter(None, map(self._graph.lexicon.word, words))) for words, _ in found]
        likely = zip(spelled, shares([cost for _, cost in found]), strict=True)
        return tuple(DecodedAlternative(other, share) for other, share in likely if other != text)[:count]

    def _take(self, log_probs: LogProbs) -> None:
        blank = log_probs[:, self._graph.blank_id]
        sure = blank > self._sure_blank
        kept = np.flatnonzero(~(sure & np.concatenate(([self._in_blank], sure[:-1]))))
        self._in_blank = bool(sure[-1])
        self._lowest_blank = min(self._lowest_blank, float(blank.min()))
        if len(kept):
            scaled = np.ascontiguousarray(log_probs[kept] * np.float32(self._config.acoustic_scale))
            scaled[:, self._graph.blank_id] -= self._config.acoustic_scale * self._graph.blank_cost
            self._search.advance_decoding(kaldi_decoder.DecodableCtc(scaled, offset=len(self._places)))
            self._places += (kept + self._frames).tolist()
            self._searched += list(log_probs[kept])
            if self._hotwords:
                self._hotwords.push(log_probs[kept])
        self._frames += len(log_probs)

    def _commit(self) -> None:
        """Makes words stable that ended long enough ago and have a word after them."""
        limit = self._frames - self._config.commit_ms / self._frame_ms
        words = self._words(final=False)[:-1]
        if not self._committed and not self._is_evident(_written(words)):
            return
        while len(self._committed) < len(words) and self._edges(words[len(self._committed)])[1] <= limit:
            self._committed.append(words[len(self._committed)])

    def _words(self, final: bool) -> list[Heard]:
        """The committed words, then the best path's. final: as if the sentence ended here, if it may."""
        if not self._places:
            return []
        whole = final and self._search.reached_final()
        if final and self._graph.closed and not whole:
            return []
        found, lattice = self._search.get_best_path(use_final_probs=whole)
        if not found:
            return list(self._committed)
        path = BestPath(lattice, len(self._places))
        following = self._after_committed(path.heard(self._graph.lexicon, self._graph.blank_id))
        if self._hotwords:
            following = self._hotwords.swap(following, path, self._searched, self._committed_end)
        return self._committed + following

    @property
    def _committed_end(self) -> int:
        return self._committed[-1].end if self._committed else 0

    def _after_committed(self, best: Sequence[Heard]) -> list[Heard]:
        """What follows them in the best path, by its words if it still has theirs, else by time; never before them."""
        passed = [number for each in self._committed for number in each.numbers]
        if [number for each in best[: len(passed)] for number in each.numbers] == passed:
            following = best[len(passed) :]
        else:
            following = [each for each in best if each.start >= self._committed_end]
        return [each.within(self._committed_end, len(self._places)) for each in following]

    def _is_evident(self, heard: Sequence[HeardWord]) -> bool:
        """Whether the words' phones, each at its best frame, are likelier than silence by enough on average."""
        evidence = [self._evidence(run) for word in heard for run in word.runs]
        return not evidence or _mean(evidence) >= self._config.least_evidence

    def _is_sure(self, heard: Sequence[HeardWord]) -> bool:
        """Whether phrases of a closed graph were not just the best that it has for other words."""
        sure = [self._probability(run) for word in heard for run in word.runs]
        return not self._graph.closed or not sure or _mean(sure) >= self._config.least_phrase_confidence

    def _evidence(self, run: Run) -> float:
        frames = self._searched[run.first : run.last + 1]
        likelier = max(float(frame[run.phone] - frame[self._graph.blank_id]) for frame in frames)
        return likelier + self._graph.blank_cost

    def _probability(self, run: Run) -> float:
        return _probability(max(float(self._searched[frame][run.phone]) for frame in range(run.first, run.last + 1)))

    def _to_word(self, word: HeardWord, probabilities: Sequence[float]) -> DecodedWord:
        start, end = self._edges(word)
        return DecodedWord(
            text=word.text,
            start_ms=start * self._frame_ms,
            end_ms=end * self._frame_ms,
            confidence=_mean(probabilities),
        )

    def _edges(self, heard: Heard | HeardWord) -> tuple[int, int]:
        """First frame and the one after the last, as pushed; of what was written ahead of its phones, now."""
        if heard.start == heard.end:
            now = self._places[heard.start] if heard.start < len(self._places) else self._frames
            return now, now
        return self._places[heard.start], self._places[heard.end - 1] + 1


def _written(heard: Sequence[Heard]) -> list[HeardWord]:
    return [word for each in heard for word in each.words if word.text]


def _text(heard: Sequence[Heard]) -> str:
    return " ".join(word.text for word in _written(heard))


def _probability(log_prob: float) -> float:
    return math.exp(min(0.0, log_prob))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
