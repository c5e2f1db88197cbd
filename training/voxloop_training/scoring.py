"""Word and character error rates of a set of transcripts."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer


@dataclass(frozen=True)
class Score:
    """Errors of one set. Rates are shares of the reference (0 is perfect, above 1 is possible)."""

    utterances: int
    words: int
    wer_ratio: float
    cer_ratio: float
    exact_ratio: float
    null_ratio: float


def score(references: Sequence[str], hypotheses: Sequence[str]) -> Score:
    """Compare pair by pair. Clips without words count only in `exact_ratio` and `null_ratio`."""
    pairs = list(zip(references, hypotheses, strict=True))
    spoken = [(reference, hypothesis) for reference, hypothesis in pairs if reference]
    expected, heard = [reference for reference, _ in spoken], [hypothesis for _, hypothesis in spoken]
    count = max(1, len(pairs))
    return Score(
        utterances=len(pairs),
        words=sum(len(reference.split()) for reference in expected),
        wer_ratio=float(jiwer.wer(expected, heard)) if spoken else 0.0,
        cer_ratio=float(jiwer.cer(expected, heard)) if spoken else 0.0,
        exact_ratio=sum(reference == hypothesis for reference, hypothesis in pairs) / count,
        null_ratio=sum(not hypothesis for _, hypothesis in pairs) / count,
    )
