"""What a shadow made of a segment, beside what the device was told."""

from dataclasses import dataclass

from voxloop_proto.scoring import score


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """One bundle's text of one segment.

    text: as heard; whether it may be kept is the utterance's consent. busy_ms: all stages'. disagreement_errors: words
    that differ from the text that the device got, of disagreement_words in that.
    """

    session_id: str
    segment_id: int
    bundle: str
    text: str
    confidence: float
    busy_ms: float
    disagreement_errors: int
    disagreement_words: int

    @property
    def is_null(self) -> bool:
        """Whether no word was heard."""
        return not self.text


def disagreement(told: str, heard: str) -> tuple[int, int]:
    """Words of `heard` that differ from the text that the device was told, and how many that has."""
    found = score([told], [heard])
    return found.errors, found.words
