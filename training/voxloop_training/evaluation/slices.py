"""Which slice of a set a clip belongs to: by speaker, length, SNR, pace, and whatever its manifest says."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from voxloop_edge.report import MOST_SLICES_OF_A_TAG, bin_tag
from voxloop_proto.scoring import normalize
from voxloop_training.evaluation.scored_clip import ScoredClip

LENGTH_EDGES_S: Final = (2.0, 5.0, 10.0)
SNR_EDGES_DB: Final = (10.0, 20.0, 30.0, 40.0)
PACE_EDGES: Final = (10.0, 13.0, 16.0)
"""Letters of the reference per second that the VAD takes for speech."""

UNKNOWN: Final = "not known"
_OWN_DIMENSIONS: Final = frozenset({"duration_s", "speaker"})  # tags that a dimension here stands for

Slices = dict[str, dict[str, list[ScoredClip]]]
"""Clips by dimension and value; in each dimension every clip has exactly one value."""

_Value = tuple[float, str]
"""A value's place among the others, and its name."""


def slice_clips(clips: Sequence[ScoredClip]) -> Slices:
    """All dimensions in which the clips differ, the values of each in order. Tags of very many values are left out."""
    dimensions: dict[str, Callable[[ScoredClip], _Value]] = {"length": _length, "SNR": _snr, "pace": _pace}
    tags = dict.fromkeys(tag for clip in clips for tag in clip.clip.tags if tag not in _OWN_DIMENSIONS)
    dimensions |= {tag: partial(_tag, tag) for tag in tags}
    slices = {name: _group(clips, value_of) for name, value_of in dimensions.items()}
    few = {name: values for name, values in slices.items() if len(values) <= MOST_SLICES_OF_A_TAG}
    everything = few | {"speaker": _group(clips, _speaker)}
    return {name: values for name, values in everything.items() if len(values) > 1}


def _group(clips: Sequence[ScoredClip], value_of: Callable[[ScoredClip], _Value]) -> dict[str, list[ScoredClip]]:
    found: dict[_Value, list[ScoredClip]] = defaultdict(list)
    for clip in clips:
        found[value_of(clip)].append(clip)
    return {name: found[place, name] for place, name in sorted(found)}


def _length(clip: ScoredClip) -> _Value:
    return _band(clip.measures.audio_s, LENGTH_EDGES_S, "s")


def _snr(clip: ScoredClip) -> _Value:
    return _band(clip.measures.snr_db, SNR_EDGES_DB, "dB")


def _pace(clip: ScoredClip) -> _Value:
    letters = len(normalize(clip.reference).replace(" ", ""))
    known = letters and clip.measures.voiced_s
    return _band(letters / clip.measures.voiced_s if known else None, PACE_EDGES, "letters/s")


def _speaker(clip: ScoredClip) -> _Value:
    return (0.0, clip.clip.speaker) if clip.clip.speaker else (math.inf, UNKNOWN)


def _tag(tag: str, clip: ScoredClip) -> _Value:
    value = clip.clip.tags.get(tag)
    if value is None:
        return math.inf, UNKNOWN
    return (0.0, value) if isinstance(value, str) else (math.floor(value), bin_tag(value))


def _band(value: float | None, edges: Sequence[float], unit: str) -> _Value:
    """A value on an edge belongs to the band above it."""
    if value is None:
        return math.inf, UNKNOWN
    place = sum(value >= edge for edge in edges)
    if place == 0:
        return 0, f"under {edges[0]:g} {unit}"
    if place == len(edges):
        return place, f"over {edges[-1]:g} {unit}"
    return place, f"{edges[place - 1]:g} to {edges[place]:g} {unit}"
