"""Learns what spellings sound like from CMUdict: which letter stands for which phones, then an n-gram over the pairs.

    python -m voxloop_training.lexicon.spelling_learner           # measures on held-out words, then writes the model

Deterministic: no random numbers; held-out words are chosen by a checksum.
"""

import math
import string
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from voxloop_cloud.spelling import EDGE, Graphone, Spelling, write_spelling
from voxloop_training.lexicon.lexicon import SPELLING_MODEL, cmudict_words
from voxloop_training.lexicon.phones import Pronunciation

ORDER: Final = 7
_MOST_PHONES: Final = 2
_ROUNDS: Final = 8
_ALIGNED_WITH: Final = 20_000
"""Words that the alignment is learned from; more move nothing."""
_HELD_OUT: Final = 25
"""One word in so many is held out for the measurement."""
_LEAST: Final = {5: 2, 6: 2, 7: 2}
"""By order: n-grams seen less often are left out, for size."""

Entry = tuple[str, Pronunciation]
_Costs = Mapping[Graphone, float]


def entries() -> list[Entry]:
    """CMUdict's words of letters alone, each said the usual way, in alphabetical order."""
    letters = frozenset(string.ascii_lowercase)
    return [(word, ways[0]) for word, ways in sorted(cmudict_words().items()) if letters.issuperset(word)]


def learn(words: Sequence[Entry]) -> tuple[Spelling, list[tuple[tuple[int, ...], int]]]:
    """The model, and the counts that it is made of."""
    costs = _learn_costs(words[:: max(1, len(words) // _ALIGNED_WITH)])
    aligned = [units for word, phones in words if (units := _align(word, phones, costs))]
    graphones = [EDGE, *sorted({unit for units in aligned for unit in units})]
    counts = _count(aligned, {unit: index for index, unit in enumerate(graphones)})
    return Spelling(ORDER, graphones, counts), counts


def wrong_words(model: Spelling, words: Iterable[tuple[str, Sequence[Pronunciation]]]) -> list[str]:
    """Those whose guess is none of the pronunciations that CMUdict has."""
    return [word for word, ways in words if model.pronounce(word) not in ways]


def held_out(word: str) -> bool:
    """Whether a word is for measuring."""
    return zlib.crc32(word.encode()) % _HELD_OUT == 0


def _learn_costs(words: Sequence[Entry]) -> dict[Graphone, float]:
    """Viterbi training, from a start where every pair of a letter and phones costs by how often they share a word."""
    together: Counter[Graphone] = Counter()
    for word, phones in words:
        chunks = {phones[at : at + size] for size in range(_MOST_PHONES + 1) for at in range(len(phones))}
        together.update((letter, chunk) for letter in set(word) for chunk in chunks)
    chunks_seen: Counter[Pronunciation] = Counter()
    for (_, chunk), count in together.items():
        chunks_seen[chunk] += count
    costs = {
        unit: -math.log(count / chunks_seen[unit[1]]) + 2.0 * (len(unit[1]) != 1) for unit, count in together.items()
    }
    for _ in range(_ROUNDS):
        found = Counter(unit for word, phones in words for unit in _align(word, phones, costs))
        total = sum(found.values())
        costs = {unit: -math.log(count / total) for unit, count in found.items() if count > 1}
    return costs


def _align(word: str, phones: Pronunciation, costs: _Costs) -> list[Graphone]:
    """The cheapest split of the phones over the letters; empty if there is none."""
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for letter in word:
        row: dict[int, tuple[float, int]] = {}
        for at, (cost, _) in best[-1].items():
            for size in range(min(_MOST_PHONES, len(phones) - at) + 1):
                total = cost + costs.get((letter, phones[at : at + size]), math.inf)
                if total < row.get(at + size, (math.inf, 0))[0]:
                    row[at + size] = (total, size)
        best.append(row)
    at, units = len(phones), list[Graphone]()
    if at not in best[-1]:
        return []
    for letter, row in zip(reversed(word), reversed(best), strict=False):
        size = row[at][1]
        units.append((letter, phones[at - size : at]))
        at -= size
    return units[::-1]


def _count(aligned: Iterable[list[Graphone]], ids: Mapping[Graphone, int]) -> list[tuple[tuple[int, ...], int]]:
    """Kneser-Ney's counts: of the highest order and of starts of words as they are, else of distinct left contexts."""
    seen: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(ORDER + 1)]
    for units in aligned:
        word = (0, *(ids[unit] for unit in units), 0)
        for end in range(2, len(word) + 1):
            for size in range(1, min(ORDER, end) + 1):
                seen[size][word[end - size : end]] += 1
    counts: list[tuple[tuple[int, ...], int]] = []
    for size in range(1, ORDER + 1):
        contexts: defaultdict[tuple[int, ...], int] = defaultdict(int)
        if size < ORDER:
            for ngram in seen[size + 1]:
                contexts[ngram[1:]] += 1
        counts += [
            (ngram, contexts.get(ngram) or count) for ngram, count in seen[size].items() if count >= _LEAST.get(size, 1)
        ]
    return counts


def main() -> None:
    """Measures on held-out words, then learns from all and writes the model."""
    words = entries()
    model, _ = learn([entry for entry in words if not held_out(entry[0])])
    measured = [(word, cmudict_words()[word]) for word, _ in words if held_out(word)]
    wrong = wrong_words(model, measured)
    sys.stdout.write(f"{len(measured)} held-out words, {len(wrong)} wrong: {len(wrong) / len(measured):.1%}\n")
    write_spelling(*learn(words), SPELLING_MODEL)
    sys.stdout.write(f"{SPELLING_MODEL.name}: {SPELLING_MODEL.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
