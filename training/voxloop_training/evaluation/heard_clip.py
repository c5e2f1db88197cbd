"""A clip and what one system made of it."""

from dataclasses import dataclass

from voxloop_edge.manifest import Clip


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One word of a transcript, and how sure the recogniser is of it, 0 to 1."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class HeardClip:
    """What came back of one clip. error: why it could not be heard to its end; None if it could."""

    clip: Clip
    text: str
    words: tuple[HeardWord, ...]
    error: str | None = None
