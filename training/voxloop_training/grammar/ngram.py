"""A back-off n-gram in memory: read from ARPA, mixed with others, measured on text, written again."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxloop_proto.errors import DataError
from voxloop_training.grammar.text import UNKNOWN

START: Final = "<s>"
END: Final = "</s>"
_NEVER: Final = -99.0
"""ARPA's log10 of zero."""

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """How well an n-gram knows a text. Words outside of the vocabulary are counted, and not part of the perplexity."""

    words: int
    unknown: int
    perplexity: float

    @property
    def unknown_ratio(self) -> float:
        return self.unknown / self.words


class Ngram:
    """Probabilities (log10, as in ARPA files) by n-gram, and back-off weights by history."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.probabilities: list[dict[Words, float]] = [{} for _ in range(order)]
        self.backoffs: dict[Words, float] = {}

    def log10(self, word: str, history: Words) -> float:
        """log10 P(word | history); -inf for a word that it lacks."""
        history = history[-(self.order - 1) :]
        backoff = 0.0
        while True:
            found = self.probabilities[len(history)].get((*history, word))
            if found is not None:
                return backoff + found
            if not history:
                return -math.inf
            backoff += self.backoffs.get(history, 0.0)
            history = history[1:]

    def fit(self, sentences: Iterable[str]) -> Fit:
        """Perplexity with sentence ends; a word that is unknown is left out, and out of the histories after it."""
        words = unknown = scored = 0
        total = 0.0
        for sentence in sentences:
            history: Words = (START,)
            for word in (*sentence.split(), END):
                score = self.log10(word, history)
                words += word != END
                if score == -math.inf:
                    unknown += 1
                    history = ()
                    continue
                total += score
                scored += 1
                history = (*history, word)[-(self.order - 1) :]
        return Fit(words, unknown, 10 ** (-total / max(scored, 1)))

    def counts(self) -> tuple[int, ...]:
        """Number of n-grams of each order."""
        return tuple(map(len, self.probabilities))


def read_arpa(path: Path) -> Ngram:
    """Reads an ARPA file, without n-grams of <unk> or over the edges of sentences. Raises DataError if it is none."""
    with path.open(encoding="utf-8") as lines:
        order = sum(1 for _ in _header(lines, path))
        ngram = Ngram(order)
        size = 1
        for line in lines:
            if line.startswith("\\"):
                size += 1
                continue
            log10, *rest = line.split() or [""]
            words = tuple(rest[:size])
            if not log10 or UNKNOWN in words or START in words[1:] or END in words[:-1]:
                continue
            ngram.probabilities[size - 1][words] = float(log10)
            if len(rest) > size:
                ngram.backoffs[words] = float(rest[size])
    return ngram


def _header(lines: Iterator[str], path: Path) -> Iterator[str]:
    for line in lines:
        if line.startswith("\\1-grams:"):
            return
        if line.startswith("ngram"):
            yield line
    raise DataError(f"{path} is no ARPA file: no \\1-grams: line; estimate it again")


def mix(ngrams: Sequence[Ngram], weights: Sequence[float]) -> Ngram:
    """One n-gram of several: every n-gram that any of them has, with the weighted mean of their probabilities.

    After a history, each counts for its weight times the probability that it gives the history ("count merging",
    Bacchiani et al. 2006): what a history of its own kind of text is followed by, the kind itself says.
    """
    mixed = Ngram(max(ngram.order for ngram in ngrams))
    for size in range(mixed.order):
        shares: dict[Words, list[float]] = {}
        for words in dict.fromkeys(words for ngram in ngrams for words in ngram.probabilities[size]):
            history = words[:-1]
            if history not in shares:
                shares[history] = _shares(ngrams, weights, history)
            mean = sum(
                share * 10 ** ngram.log10(words[-1], history)
                for ngram, share in zip(ngrams, shares[history], strict=True)
                if share
            )
            mixed.probabilities[size][words] = math.log10(mean) if mean > 0 else _NEVER
    return normalized(mixed)


def _shares(ngrams: Sequence[Ngram], weights: Sequence[float], history: Words) -> list[float]:
    joint = [
        weight * 10 ** sum(ngram.log10(word, history[:at]) for at, word in enumerate(history) if word != START)
        for ngram, weight in zip(ngrams, weights, strict=True)
    ]
    total = sum(joint)
    return [each / total for each in joint] if total > 0 else list(weights)


def normalized(ngram: Ngram) -> Ngram:
    """Unigrams that sum to one, and back-off weights that fit the probabilities; in place."""
    unigrams = ngram.probabilities[0]
    unigrams[(START,)] = _NEVER
    excess = math.log10(sum(10**log10 for log10 in unigrams.values()))
    ngram.probabilities[0] = {words: max(log10 - excess, _NEVER) for words, log10 in unigrams.items()}
    ngram.backoffs = {}
    for size in range(1, ngram.order):
        left: dict[Words, list[float]] = {}
        for words, log10 in ngram.probabilities[size].items():
            sums = left.setdefault(words[:-1], [1.0, 1.0])
            sums[0] -= 10**log10
            sums[1] -= 10 ** ngram.log10(words[-1], words[1:-1])
        for history, (above, below) in left.items():
            ngram.backoffs[history] = math.log10(max(above, 1e-6) / max(below, 1e-6))
    return ngram


def write_arpa(ngram: Ngram, path: Path) -> None:
    """Writes an ARPA file; histories that no n-gram of a lower order stands for get one, as the format wants."""
    for size in range(ngram.order - 1, 0, -1):
        for words in ngram.probabilities[size]:
            if words[:-1] not in ngram.probabilities[size - 1]:
                ngram.probabilities[size - 1][words[:-1]] = ngram.log10(words[-2], words[:-2])
    with path.open("w", encoding="utf-8") as file:
        file.write("\\data\\\n" + "".join(f"ngram {n}={count}\n" for n, count in enumerate(ngram.counts(), start=1)))
        for size, probabilities in enumerate(ngram.probabilities, start=1):
            file.write(f"\n\\{size}-grams:\n")
            for words, log10 in sorted(probabilities.items()):
                backoff = f"\t{ngram.backoffs[words]:.5f}" if words in ngram.backoffs else ""
                file.write(f"{log10:.5f}\t{' '.join(words)}{backoff}\n")
        file.write("\n\\end\\\n")
