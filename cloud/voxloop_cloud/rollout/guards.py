"""What a bundle is watched by: each guard compares one measure with the present bundle's."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from voxloop_cloud.rollout.bounded_mean import Range


class Source(Enum):
    """Where a guard's values come from."""

    LABELLED = auto()  # utterances that both bundles heard, and that have a label
    SHADOWED = auto()  # utterances that both bundles heard
    LIVE = auto()  # utterances of devices that one of them answers


_DIFFERENCE: Final = Range(-1.0, 1.0)
_SHARE: Final = Range(0.0, 1.0)
_CHANGE_BEYOND_OTHERS: Final = Range(-2.0, 2.0)


@dataclass(frozen=True, slots=True)
class Guard:
    """key: its name in settings and evidence. measure: in words; of a higher one the bundle is the worse.

    is_share: the measure is by itself a comparison, and no difference of two.
    """

    key: str
    measure: str
    source: Source
    is_share: bool = False

    @property
    def values_in(self) -> Range:
        """What a value may be."""
        if self.is_share:
            return _SHARE
        return _CHANGE_BEYOND_OTHERS if self.source is Source.LIVE else _DIFFERENCE


WORD_ERRORS: Final = Guard("word_errors", "word errors on labelled utterances", Source.LABELLED)
NULLS: Final = Guard("nulls", "null transcripts", Source.SHADOWED)
DOUBT: Final = Guard("doubt", "doubt (1 - confidence)", Source.SHADOWED)
DISAGREEMENT: Final = Guard("disagreement", "words that differ from the present text", Source.SHADOWED, is_share=True)
SLOWNESS: Final = Guard("slowness", "utterances that take it far longer", Source.SHADOWED, is_share=True)
FAILURES_LIVE: Final = Guard("failures_live", "failed segments", Source.LIVE)
REDONE_LIVE: Final = Guard("redone_live", "utterances that are said again, typed or corrected", Source.LIVE)
NULLS_LIVE: Final = Guard("nulls_live", "null transcripts on devices that it answers", Source.LIVE)
LATE_LIVE: Final = Guard("late_live", "late transcripts", Source.LIVE)

LIVE_GUARDS: Final = (FAILURES_LIVE, REDONE_LIVE, NULLS_LIVE, LATE_LIVE)
GUARDS: Final = (WORD_ERRORS, NULLS, DOUBT, DISAGREEMENT, SLOWNESS, *LIVE_GUARDS)
