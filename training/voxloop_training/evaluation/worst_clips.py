"""The clips with the most errors, with their sound, for whoever would rather listen than count."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import soundfile

from voxloop_edge.manifest import Clip
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_training.evaluation.alignment import Edit, align_words
from voxloop_training.evaluation.clip_set import ClipSet
from voxloop_training.evaluation.figures import SetFigures, UtteranceFigures
from voxloop_training.evaluation.offline import read_sound

MOST_CLIPS: Final = 24
MOST_AUDIO_BYTES: Final = 3_000_000
MOST_AUDIO_S: Final = 40.0
_COMPRESSION: Final = 0.9
"""libsndfile's, 0 to 1: about 30 kbit/s of Opus."""


@dataclass(frozen=True, slots=True)
class WorstClip:
    """A clip, word by word. audio: a data URI, None if it is too long or the page is full."""

    set_name: str
    utterance: UtteranceFigures
    edits: tuple[Edit, ...]
    audio: str | None


def find_worst(sets: Sequence[ClipSet], figures: dict[str, SetFigures]) -> list[WorstClip]:
    """The worst of each set, the worst first; MOST_CLIPS in all, and MOST_AUDIO_BYTES of sound as base64."""
    found: list[WorstClip] = []
    left_bytes = MOST_AUDIO_BYTES
    evaluated = [each for each in sets if each.name in figures]
    for clip_set in evaluated:
        clip_of_id = {clip.id: clip for clip in clip_set.clips}
        wrong = [clip for clip in figures[clip_set.name].utterances if clip.errors]
        for utterance in sorted(wrong, key=_badness, reverse=True)[: MOST_CLIPS // len(evaluated)]:
            audio = _audio_of(clip_of_id[utterance.id], utterance.audio_s)
            if audio is not None and len(audio) > left_bytes:
                audio = None
            left_bytes -= len(audio or "")
            [edits] = align_words([utterance.reference or ""], [utterance.hypothesis])
            found.append(WorstClip(clip_set.name, utterance, edits, audio))
    return found


def _badness(clip: UtteranceFigures) -> float:
    """Between the number of errors, by which long clips would come first, and their rate, by which single words."""
    return clip.errors / math.sqrt(1 + clip.words)


def _audio_of(clip: Clip, audio_s: float) -> str | None:
    if audio_s > MOST_AUDIO_S:
        return None
    return "data:audio/ogg;base64," + base64.b64encode(to_ogg_opus(read_sound(clip))).decode()


def to_ogg_opus(pcm: Pcm) -> bytes:
    """An Ogg/Opus file of (N,) float32 in [-1, 1] at 16 kHz."""
    out = BytesIO()
    with soundfile.SoundFile(
        out, "w", SAMPLE_RATE_HZ, 1, format="OGG", subtype="OPUS", compression_level=_COMPRESSION
    ) as file:
        for start in range(0, len(pcm), SAMPLE_RATE_HZ):  # libsndfile's encoder wants small pieces
            file.write(pcm[start : start + SAMPLE_RATE_HZ])
    return out.getvalue()
