"""Which phone was heard in place of which, of bundles whose tokens are phones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice, product, zip_longest
from typing import Final

from rapidfuzz.distance import Levenshtein

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.graph import LEXICON_FILE
from voxloop_cloud.graph_lexicon import read_lexicon
from voxloop_training.evaluation.alignment import Edit

Phones = tuple[str, ...]
Lexicon = Mapping[str, tuple[Phones, ...]]
"""Words, each with its pronunciations."""

_MOST_READINGS: Final = 24
"""Of a passage of several words with several pronunciations each; further combinations are not looked at."""


def lexicon_of(bundle: Bundle) -> Lexicon:
    """The words of a bundle of phones; none of any other."""
    if bundle.config.tokens != "phones":
        return {}
    words = read_lexicon(bundle.path / LEXICON_FILE, bundle.tokens)
    return {
        words.word(number): tuple(
            tuple(bundle.tokens[token] for token in pronunciation) for pronunciation in words.pronunciations(number)
        )
        for number in range(1, len(words) + 1)
    }


def align_phones(edits: Iterable[Edit], lexicon: Lexicon) -> Iterator[Edit]:
    """From the alignment of a clip's words to one of phones.

    The graph lets a word be heard only by one of its pronunciations, so words stand for the phones that were heard.
    Words that are right give their phones as right. A passage of wrong words is aligned as a whole, by the
    pronunciations of both sides that are closest to each other; one with a word that has none is left out.
    """
    for right, passage in groupby(edits, key=lambda edit: edit.kind == "right"):
        together = list(passage)
        if right:
            words = [edit.reference for edit in together if edit.reference in lexicon]
            yield from (Edit(phone, phone) for word in words for phone in lexicon[word][0])
        else:
            yield from _align_passage(together, lexicon)


def _align_passage(edits: Sequence[Edit], lexicon: Lexicon) -> list[Edit]:
    said = [edit.reference for edit in edits if edit.reference]
    heard = [edit.hypothesis for edit in edits if edit.hypothesis]
    if not all(word in lexicon for word in (*said, *heard)):
        return []
    pairs = product(_readings(said, lexicon), _readings(heard, lexicon))
    wanted, found = min(pairs, key=lambda pair: Levenshtein.distance(*pair))
    aligned: list[Edit] = []
    for step in Levenshtein.opcodes(wanted, found):
        here, there = wanted[step.src_start : step.src_end], found[step.dest_start : step.dest_end]
        aligned += (Edit(phone, other) for phone, other in zip_longest(here, there, fillvalue=""))
    return aligned


def _readings(words: Sequence[str], lexicon: Lexicon) -> list[Phones]:
    combinations = product(*(lexicon[word] for word in words))
    return [tuple(phone for phones in each for phone in phones) for each in islice(combinations, _MOST_READINGS)]
