"""A clip whose text is known, beside what was heard in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from voxloop_edge.manifest import Clip
from voxloop_proto.scoring import normalize
from voxloop_training.evaluation.alignment import Edit, EditKind, align_words
from voxloop_training.evaluation.clip_measures import ClipMeasures
from voxloop_training.evaluation.heard_clip import HeardClip


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """One clip, aligned."""

    heard: HeardClip
    reference: str
    measures: ClipMeasures
    edits: tuple[Edit, ...]

    @property
    def clip(self) -> Clip:
        """The clip itself."""
        return self.heard.clip

    @property
    def words(self) -> int:
        """Words of the reference."""
        return sum(edit.kind != "insertion" for edit in self.edits)

    @property
    def errors(self) -> int:
        """Words replaced, left out or made up."""
        return sum(edit.kind != "right" for edit in self.edits)

    def count(self, kind: EditKind) -> int:
        """Words that this happened to."""
        return sum(edit.kind == kind for edit in self.edits)

    def judged_words(self) -> Iterator[tuple[float, bool]]:
        """The confidence of each heard word, and whether it was right.

        None of a clip whose words, normalized one by one, are not those of its normalized text.
        """
        confidences = [word.confidence for word in self.heard.words for _ in normalize(word.text).split()]
        heard = [edit.kind == "right" for edit in self.edits if edit.hypothesis]
        if len(confidences) == len(heard):
            yield from zip(confidences, heard, strict=True)


def score_clips(heard: Sequence[HeardClip], measures: Mapping[str, ClipMeasures]) -> list[ScoredClip]:
    """Those of the clips that can be scored: their text is known, and they were heard to their end.

    measures: by the clip's id.
    """
    scorable = [item for item in heard if item.clip.text is not None and item.error is None]
    references = [item.clip.text or "" for item in scorable]
    edits = align_words(references, [item.text for item in scorable])
    return [
        ScoredClip(item, reference, measures[item.clip.id], aligned)
        for item, reference, aligned in zip(scorable, references, edits, strict=True)
    ]
