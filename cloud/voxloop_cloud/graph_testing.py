"""What tests of graph decoding share: small graphs, frames that say something, and the definition to compare with."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from voxloop_cloud.bundle import CONFIG_FILE, TOKENS_FILE, Bundle, load_bundle, write_checksums
from voxloop_cloud.decoder import LogProbs
from voxloop_cloud.graph import GRAPH_FILE, LEXICON_FILE, Graph, write_graph
from voxloop_cloud.graph_lexicon import GraphLexicon, Pronunciation, write_lexicon
from voxloop_cloud.testing import tiny_bundle

Entries = Sequence[tuple[str, tuple[Pronunciation, ...]]]


def loop_graph(entries: Entries, costs: Sequence[float], phones: int) -> Graph:
    """A graph in which any words may follow each other, each at its cost. Token ids as in the entries."""
    arcs: list[list[tuple[int, int, float, int]]] = [[]]
    for number, ((_, ways), cost) in enumerate(zip(entries, costs, strict=True), start=1):
        for way in ways:
            at, word, paid = 0, number, cost
            for place, phone in enumerate(way):
                target = 0 if place == len(way) - 1 else len(arcs)
                arcs[at].append((phone + 1, word, paid, target))
                if target:
                    arcs.append([])
                at, word, paid = target, 0, 0.0
    flat = [arc for leaving in arcs for arc in leaving]
    return Graph(
        phones=phones,
        words=len(entries),
        start=0,
        first_arc=np.cumsum([0, *map(len, arcs)]),
        phone=np.array([arc[0] for arc in flat], np.uint8),
        word=np.array([arc[1] for arc in flat], np.int32),
        cost=np.array([arc[2] for arc in flat], np.float32),
        target=np.array([arc[3] for arc in flat], np.int32),
        final=np.array([0.0] + [math.inf] * (len(arcs) - 1), np.float32),
    )


def random_frames(seed: int, frames: int, tokens: int, sharpness: float = 2.0) -> LogProbs:
    """Log-probabilities (T, V) float32 that say nothing in particular."""
    scores = np.random.default_rng(seed).normal(0.0, sharpness, (frames, tokens))
    return (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).astype(np.float32)


def spoken_frames(path: Sequence[int], tokens: int, probability: float = 0.9) -> LogProbs:
    """Log-probabilities (T, V) float32 in which each frame is nearly sure of the token that the path has there."""
    out = np.full((len(path), tokens), (1 - probability) / (tokens - 1), np.float32)
    out[np.arange(len(path)), list(path)] = probability
    return np.log(out)


def best_words(
    log_probs: LogProbs,
    lexicon: GraphLexicon,
    cost_of: Callable[[tuple[str, ...]], float],
    most_words: int,
) -> tuple[str, ...]:
    """By trying out every sequence of words: the one with the likeliest single CTC path, its cost taken off."""
    blank = log_probs.shape[1] - 1
    best, words = math.inf, tuple[str, ...]()
    for count in range(most_words + 1):
        for numbers in itertools.product(range(1, len(lexicon) + 1), repeat=count):
            spelled = tuple(lexicon.word(number) for number in numbers)
            for ways in itertools.product(*(lexicon.pronunciations(number) for number in numbers)):
                phones = [phone for way in ways for phone in way]
                cost = cost_of(spelled) - _best_path(log_probs, phones, blank)
                if cost < best:
                    best, words = cost, spelled
    return words


def _best_path(log_probs: LogProbs, phones: Sequence[int], blank: int) -> float:
    """The log-probability of the likeliest CTC path of the phones; -inf if the frames are too few."""
    labels = [blank, *(label for phone in phones for label in (phone, blank))]
    score = [0.0 if place < 2 else -math.inf for place in range(len(labels))]
    for time, frame in enumerate(log_probs):
        following: list[float] = []
        for place, label in enumerate(labels):
            before = [score[place]]
            if time:
                before += score[place - 1 : place] if place else []
                if place > 1 and label not in (blank, labels[place - 2]):
                    before.append(score[place - 2])
            following.append(max(before) + float(frame[label]))
        score = following
    return max(score[-2:])


def phone_bundle(path: Path, entries: Mapping[str, Sequence[str]]) -> Bundle:
    """tiny_bundle with its tokens called phones, and a graph of words that are spelled with them."""
    tokens = tiny_bundle(path).tokens
    lexicon = [(word, (tuple(tokens.index(phone) for phone in phones),)) for word, phones in entries.items()]
    write_graph(loop_graph(lexicon, [1.0] * len(lexicon), len(tokens) - 1), path / GRAPH_FILE)
    write_lexicon([(word, [phones]) for word, phones in entries.items()], path / LEXICON_FILE)
    config = path / CONFIG_FILE
    text = config.read_text(encoding="utf-8").replace('tokens = "characters"', 'tokens = "phones"')
    config.write_text(text, encoding="utf-8")
    assert (path / TOKENS_FILE).is_file()
    write_checksums(path)
    return load_bundle(path)
