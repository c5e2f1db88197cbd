"""Made-up clips, heard as the test says."""

from pathlib import Path

from voxloop_edge.manifest import Clip
from voxloop_training.evaluation.clip_measures import ClipMeasures
from voxloop_training.evaluation.heard_clip import HeardClip, HeardWord
from voxloop_training.evaluation.scored_clip import ScoredClip, score_clips


def clip(name: str, text: str | None = "", speaker: str | None = None, **tags: str | float) -> Clip:
    return Clip(name, Path(f"{name}.wav"), text, speaker, tags)


def heard(said: Clip, text: str, confidence: float = 0.9, error: str | None = None) -> HeardClip:
    return HeardClip(said, text, tuple(HeardWord(word, confidence) for word in text.split()), error)


def scored(
    *items: HeardClip, audio_s: float = 3.0, voiced_s: float = 1.0, snr_db: float | None = 25.0
) -> list[ScoredClip]:
    measures = ClipMeasures(audio_s, voiced_s, snr_db)
    return score_clips(items, {item.clip.id: measures for item in items})
