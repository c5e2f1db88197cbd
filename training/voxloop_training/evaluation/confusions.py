"""What was heard in place of what, counted."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel, ConfigDict

from voxloop_training.evaluation.alignment import Edit, EditKind

MOST_ROWS: Final = 50


class Confusion(BaseModel):
    """One kind of error. reference or hypothesis is "" where there is none.

    of: how often the references have the word; of one that was made up, how often they have that.
    """

    model_config = ConfigDict(frozen=True)

    reference: str
    hypothesis: str
    count: int
    of: int


class ConfusionTable(BaseModel):
    """The most frequent errors of each kind. units: words or phones of the references that were compared."""

    model_config = ConfigDict(frozen=True)

    units: int
    substitutions: list[Confusion]
    deletions: list[Confusion]
    insertions: list[Confusion]


def count_confusions(edits: Iterable[Edit]) -> ConfusionTable:
    """Counts the errors of alignments; equally frequent ones in the order of the alphabet."""
    counts: dict[EditKind, Counter[Edit]] = {
        kind: Counter() for kind in ("right", "substitution", "deletion", "insertion")
    }
    said: Counter[str] = Counter()
    for edit in edits:
        counts[edit.kind][edit] += 1
        if edit.reference:
            said[edit.reference] += 1

    def rows(kind: EditKind) -> list[Confusion]:
        frequent = sorted(counts[kind].items(), key=lambda item: (-item[1], item[0].reference, item[0].hypothesis))
        return [
            Confusion(
                reference=edit.reference, hypothesis=edit.hypothesis, count=count,
                of=said[edit.reference or edit.hypothesis],
            )
            for edit, count in frequent[:MOST_ROWS]
        ]  # fmt: skip

    return ConfusionTable(
        units=said.total(),
        substitutions=rows("substitution"),
        deletions=rows("deletion"),
        insertions=rows("insertion"),
    )
