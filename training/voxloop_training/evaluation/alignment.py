"""Which word was heard in place of which: the alignment that the word error rate counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import jiwer

from voxloop_proto.scoring import normalize

EditKind = Literal["right", "substitution", "deletion", "insertion"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One place of an alignment. reference is "" for a word that was made up, hypothesis for one that was left out."""

    reference: str
    hypothesis: str

    @property
    def kind(self) -> EditKind:
        """What happened to the word."""
        if not self.reference:
            return "insertion"
        if not self.hypothesis:
            return "deletion"
        return "right" if self.reference == self.hypothesis else "substitution"


def align_words(references: Sequence[str], hypotheses: Sequence[str]) -> list[tuple[Edit, ...]]:
    """The alignment of each pair with the fewest errors, both normalized as for scoring, which counts the same.

    Where several have equally few, jiwer's choice is taken.
    """
    if not references:
        return []
    aligned = jiwer.process_words([normalize(text) for text in references], [normalize(text) for text in hypotheses])
    return [
        tuple(edit for chunk in chunks for edit in _edits(chunk, reference, hypothesis))
        for chunks, reference, hypothesis in zip(
            aligned.alignments, aligned.references, aligned.hypotheses, strict=True
        )
    ]


def _edits(chunk: jiwer.AlignmentChunk, reference: Sequence[str], hypothesis: Sequence[str]) -> list[Edit]:
    wanted = reference[chunk.ref_start_idx : chunk.ref_end_idx]
    heard = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
    return [Edit(word, other) for word, other in zip_longest(wanted, heard, fillvalue="")]
