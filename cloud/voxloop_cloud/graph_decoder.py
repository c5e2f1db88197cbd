"""From log-probabilities of phones to words: a beam search through lexicon and grammar, by kaldi-decoder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import kaldi_decoder
import kaldifst
import numpy as np

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.decoder import Decoded, DecodedAlternative, DecodedWord, Hypothesis, LogProbs
from voxloop_cloud.graph import GRAPH_FILE, LEXICON_FILE, Graph, read_graph
from voxloop_cloud.graph_alignment import Run, align, runs_of
from voxloop_cloud.graph_alternatives import best_texts, shares
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_lexicon import GraphLexicon, read_lexicon
from voxloop_cloud.graph_topology import to_fst, with_ctc
from voxloop_proto.errors import ContractError

_COMMIT_FRAMES: Final = 16
"""Words become stable at multiples of so many frames, wherever the pushes end, so that cuts change nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodingGraph:
    """What all streams of a bundle share. fst: kaldifst.StdConstFst, only read."""

    fst: Any
    lexicon: GraphLexicon
    blank_id: int


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


@dataclass(frozen=True, slots=True)
class _Heard:
    """A word of the best path. start, end: frames as pushed."""

    number: int
    start: int
    end: int
    runs: Sequence[Run]


class GraphDecoder:
    """One stream's search.

    A hypothesis is the best path so far. Its words may change until they ended commit_ms ago: then they are stable, and
    stay even if a later best path has others in their place, which is rare and costs less than text that flickers.
    Blanks that are sure are searched once per run of them; a run of blanks says the same however long it is.
    """

    def __init__(self, graph: DecodingGraph, config: DecoderConfig, frame_ms: float) -> None:
        """frame_ms: time between two frames of log-probabilities."""
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
        self._committed: list[_Heard] = []
        self._lowest_blank = 0.0

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
            size = _COMMIT_FRAMES - self._frames % _COMMIT_FRAMES
            self._take(log_probs[:size])
            log_probs = log_probs[size:]
            if self._frames % _COMMIT_FRAMES == 0:
                self._commit()

    def hypothesis(self) -> Hypothesis:
        """The best path's words so far; the committed ones are stable."""
        words = self._words(final=False)
        stable = self._text(self._committed)
        return Hypothesis(self._text(words), len(stable))

    def result(self) -> Decoded:
        """Text, words and confidence of all frames so far, as if the sentence ended here.

        A phone's confidence is the model's highest probability for it among its frames; a word's is the mean over its
        phones, the text's the mean over all of them. Of a null transcript as in CtcDecoder.
        """
        heard = self._words(final=True)
        confidences = [[self._probability(run) for run in each.runs] for each in heard]
        words = tuple(self._to_word(each, found) for each, found in zip(heard, confidences, strict=True))
        phones = [probability for found in confidences for probability in found]
        confidence = _mean(phones) if words else _probability(self._lowest_blank) if self._frames else 0.0
        tokens = tuple(run.phone for each in heard for run in each.runs)
        text = self._text(heard)
        return Decoded(text, words, confidence, tokens, self._alternatives(text))

    def _alternatives(self, text: str) -> tuple[DecodedAlternative, ...]:
        count = self._config.alternatives
        if not count or not self._searched:
            return ()
        scaled = np.stack(self._searched) * np.float32(self._config.acoustic_scale)
        found = best_texts(self._graph.fst, scaled, count + 1)
        spelled = [" ".join(map(self._graph.lexicon.word, words)) for words, _ in found]
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
            self._search.advance_decoding(kaldi_decoder.DecodableCtc(scaled, offset=len(self._places)))
            self._places += (kept + self._frames).tolist()
            self._searched += list(log_probs[kept])
        self._frames += len(log_probs)

    def _commit(self) -> None:
        """Makes words stable that ended long enough ago and have a word after them."""
        limit = self._frames - self._config.commit_ms / self._frame_ms
        words = self._words(final=False)[:-1]
        while len(self._committed) < len(words) and words[len(self._committed)].end <= limit:
            self._committed.append(words[len(self._committed)])

    def _words(self, final: bool) -> list[_Heard]:
        """The committed words, then the best path's. final: as if the sentence ended here, if it may."""
        if not self._places:
            return []
        found, lattice = self._search.get_best_path(use_final_probs=final and self._search.reached_final())
        if not found:
            return list(self._committed)
        _, labels, words, _ = kaldifst.get_linear_symbol_sequence(lattice)
        runs = runs_of([label - 1 for label in labels], self._graph.blank_id)
        best = [
            self._heard(word, its) for word, its in zip(words, align(words, runs, self._graph.lexicon), strict=True)
        ]
        count = len(self._committed)
        if [each.number for each in best[:count]] == [each.number for each in self._committed]:
            return self._committed + best[count:]
        end = self._committed[-1].end
        return self._committed + [each for each in best if each.start >= end]

    def _heard(self, word: int, runs: Sequence[Run]) -> _Heard:
        if not runs:  # written ahead of its phones
            return _Heard(word, self._frames, self._frames, runs)
        return _Heard(word, self._places[runs[0].first], self._places[runs[-1].last] + 1, runs)

    def _text(self, words: Sequence[_Heard]) -> str:
        return " ".join(self._graph.lexicon.word(each.number) for each in words)

    def _probability(self, run: Run) -> float:
        return _probability(max(float(self._searched[frame][run.phone]) for frame in range(run.first, run.last + 1)))

    def _to_word(self, heard: _Heard, probabilities: Sequence[float]) -> DecodedWord:
        return DecodedWord(
            text=self._graph.lexicon.word(heard.number),
            start_ms=heard.start * self._frame_ms,
            end_ms=heard.end * self._frame_ms,
            confidence=_mean(probabilities),
        )


def _probability(log_prob: float) -> float:
    return math.exp(min(0.0, log_prob))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
