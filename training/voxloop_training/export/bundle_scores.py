"""The error rates of a bundle that its audit holds: the recogniser alone, on dev and test sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from voxloop_cloud.recognizer import Recognizer
from voxloop_training.evaluation.bootstrap import Bootstrap
from voxloop_training.evaluation.clip_set import read_clip_sets
from voxloop_training.evaluation.evaluation_run import measure_clips
from voxloop_training.evaluation.offline import OfflineListener
from voxloop_training.evaluation.summary import summarize_set

_LEFT_OUT: Final = {"utterances", "calibration", "word_confusions", "phone_confusions", "latency_ms", "user_latency_ms"}
_SPEAKERS: Final = "speaker"  # hundreds of slices that tell nobody anything


def score_bundle(recognizer: Recognizer, manifests: Sequence[Path], threads: int = 2) -> dict[str, dict[str, Any]]:
    """Scores of each manifest as `SET/SPLIT`, each with its slices. Raises as read_clip_sets."""
    scores = {}
    for clip_set in read_clip_sets(manifests):
        heard = OfflineListener(recognizer, threads).hear(clip_set)
        figures = summarize_set(clip_set, heard, measure_clips(clip_set), Bootstrap(), lexicon={})
        found = figures.model_dump(mode="json", exclude=_LEFT_OUT)
        found["slices"].pop(_SPEAKERS, None)
        scores[clip_set.name] = found
    return scores
