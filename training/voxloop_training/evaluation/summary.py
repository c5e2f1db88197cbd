"""From what was heard to the figures of a set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from voxloop_proto.scoring import normalize, score
from voxloop_training.evaluation.alignment import Edit
from voxloop_training.evaluation.bootstrap import Bootstrap, Counts, Interval, choose_units
from voxloop_training.evaluation.calibration import calibrate
from voxloop_training.evaluation.clip_measures import ClipMeasures
from voxloop_training.evaluation.clip_set import ClipSet
from voxloop_training.evaluation.confusions import count_confusions
from voxloop_training.evaluation.figures import (
    DifferenceFigures,
    ErrorFigures,
    SetFigures,
    SliceFigures,
    UtteranceFigures,
)
from voxloop_training.evaluation.heard_clip import HeardClip
from voxloop_training.evaluation.heard_set import HeardSet
from voxloop_training.evaluation.phone_confusions import Lexicon, align_phones
from voxloop_training.evaluation.scored_clip import ScoredClip, score_clips
from voxloop_training.evaluation.slices import slice_clips

MIN_SLICE_WORDS: Final = 100
_DIGITS: Final = 5
_UNHEARD: Final = ClipMeasures(0.0, 0.0, None)


def summarize_set(
    clip_set: ClipSet,
    outcome: HeardSet,
    measures: Mapping[str, ClipMeasures],
    bootstrap: Bootstrap,
    lexicon: Lexicon,
    hotwords_only: bool = False,
) -> SetFigures:
    """All figures of a set. measures: by clip id; clips that cannot be read have none. lexicon: empty for no phones."""
    heard = outcome.clips
    known = {item.clip.id: measures.get(item.clip.id, _UNHEARD) for item in heard}
    scored = score_clips(heard, known)
    totals = score([clip.reference for clip in scored], [clip.heard.text for clip in scored])
    right_low, right_high = _bounds(_right_interval(scored, bootstrap))
    audio_s = sum(known[item.clip.id].audio_s for item in heard)
    edits = [edit for clip in scored for edit in clip.edits]

    def per_audio_s(value: float | None) -> float | None:
        return None if value is None or not audio_s else _rounded(value / audio_s)

    return SetFigures(
        **error_figures(scored, bootstrap).model_dump() | {"clips": len(heard)},
        scored_clips=len(scored),
        clips_left_out=clip_set.all_clips - len(clip_set.clips),
        failed=sum(item.error is not None for item in heard),
        speakers=len({item.clip.speaker for item in heard if item.clip.speaker}),
        hotwords=len(clip_set.hotwords),
        hotwords_only=hotwords_only and bool(clip_set.hotwords),
        substitutions=totals.substitutions,
        deletions=totals.deletions,
        insertions=totals.insertions,
        heard_words=sum(len(normalize(item.text).split()) for item in heard),
        cer=_rounded(totals.cer),
        clips_right_ratio=_rounded(totals.clips_right_ratio),
        clips_right_low=right_low,
        clips_right_high=right_high,
        null_ratio=round(sum(not item.text for item in heard) / len(heard), _DIGITS),
        audio_s=round(audio_s, 3),
        cpu_s_per_audio_s=per_audio_s(outcome.cpu_s),
        edge_cpu_s_per_audio_s=per_audio_s(outcome.edge_cpu_s),
        real_time_factor=per_audio_s(outcome.wall_s),
        latency_clips=outcome.latency_clips,
        latency_ms=outcome.latency_ms,
        user_latency_ms=outcome.user_latency_ms,
        slices={
            dimension: {value: _slice_figures(clips, bootstrap) for value, clips in values.items()}
            for dimension, values in slice_clips(scored).items()
        },
        calibration=calibrate(judged for clip in scored for judged in clip.judged_words()),
        word_confusions=count_confusions(edits),
        phone_confusions=count_confusions(_phones(scored, lexicon)) if lexicon else None,
        utterances=_utterances(heard, known, scored),
    )


def error_figures(clips: Sequence[ScoredClip], bootstrap: Bootstrap) -> ErrorFigures:
    """Errors of some clips together, with their interval."""
    errors, words = _counts(clip.errors for clip in clips), _counts(clip.words for clip in clips)
    unit, units = choose_units([clip.clip.speaker for clip in clips])
    low, high = _bounds(bootstrap.interval(errors, words, units))
    return ErrorFigures(
        clips=len(clips),
        words=int(words.sum()),
        errors=int(errors.sum()),
        wer=_rounded(float(errors.sum() / words.sum())) if words.sum() else None,
        wer_low=low,
        wer_high=high,
        interval_unit=unit,
    )


def difference_figures(figures: SetFigures, baseline: SetFigures, bootstrap: Bootstrap) -> DifferenceFigures | None:
    """How two systems differ on the clips that both heard to their end; None where there is no rate to compare."""
    of_baseline = {clip.id: clip for clip in baseline.utterances if _is_scored(clip)}
    pairs = [(clip, of_baseline[clip.id]) for clip in figures.utterances if _is_scored(clip) and clip.id in of_baseline]
    difference = bootstrap.difference(
        _counts(clip.errors for clip, _ in pairs),
        _counts(other.errors for _, other in pairs),
        _counts(other.words for _, other in pairs),
        choose_units([clip.speaker for clip, _ in pairs])[1],
    )
    if difference is None:
        return None
    return DifferenceFigures(
        clips=len(pairs),
        wer=round(difference.rate, _DIGITS),
        wer_low=round(difference.interval.low, _DIGITS),
        wer_high=round(difference.interval.high, _DIGITS),
        better_share=round(difference.better_share, _DIGITS),
    )


def _is_scored(clip: UtteranceFigures) -> bool:
    return clip.reference is not None and clip.error is None


def _slice_figures(clips: Sequence[ScoredClip], bootstrap: Bootstrap) -> SliceFigures:
    figures = error_figures(clips, bootstrap)
    return SliceFigures(**figures.model_dump(), few_words=figures.words < MIN_SLICE_WORDS)


def _right_interval(clips: Sequence[ScoredClip], bootstrap: Bootstrap) -> Interval | None:
    right = _counts(not clip.errors for clip in clips)
    return bootstrap.interval(right, np.ones_like(right), choose_units([clip.clip.speaker for clip in clips])[1])


def _phones(clips: Iterable[ScoredClip], lexicon: Lexicon) -> Iterator[Edit]:
    return (edit for clip in clips for edit in align_phones(clip.edits, lexicon))


def _utterances(
    heard: Iterable[HeardClip], measures: Mapping[str, ClipMeasures], scored: Iterable[ScoredClip]
) -> list[UtteranceFigures]:
    scored_by_id = {clip.clip.id: clip for clip in scored}
    return [_utterance(item, measures[item.clip.id], scored_by_id.get(item.clip.id)) for item in heard]


def _utterance(item: HeardClip, measures: ClipMeasures, scored: ScoredClip | None) -> UtteranceFigures:
    return UtteranceFigures(
        id=item.clip.id,
        speaker=item.clip.speaker,
        reference=None if item.clip.text is None else normalize(item.clip.text),
        hypothesis=normalize(item.text),
        words=scored.words if scored else 0,
        errors=scored.errors if scored else 0,
        audio_s=round(measures.audio_s, 3),
        snr_db=_rounded(measures.snr_db),
        error=item.error,
    )


def _counts(values: Iterable[int]) -> Counts:
    return np.fromiter(values, np.int64)


def _bounds(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (_rounded(interval.low), _rounded(interval.high))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
