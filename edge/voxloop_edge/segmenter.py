"""Finds where speech begins and ends, and gives its sound out as it comes."""

import math
from collections import deque
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_edge.open_segment import OpenSegment
from voxloop_proto.audio import PaddingPolicy, ms_to_samples
from voxloop_proto.errors import ConfigError
from voxloop_proto.events import EndReason, JudgedFrame, SegmentEvent

UNLIMITED_MS = 1 << 31
"""Longer than any segment."""


class SegmenterConfig(BaseModel):
    """When a segment begins, and how long it may be. How it ends is the padding's after_ms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_speech_ms: int = Field(90, ge=10, le=2000, description="voiced sound that begins a segment, in ms")
    onset_window_ms: int = Field(180, ge=10, le=3000, description="time in which min_speech_ms must be heard, in ms")
    max_segment_ms: int = Field(20_000, ge=1000, le=60_000, description="longest segment, in ms; more is split")
    split_window_ms: int = Field(
        4_000, ge=0, le=20_000, description="last part of a segment, at whose quietest point it may be split, in ms"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "SegmenterConfig":
        if self.onset_window_ms < self.min_speech_ms:
            raise ValueError(
                f"onset_window_ms {self.onset_window_ms} is shorter than min_speech_ms {self.min_speech_ms}"
            )
        if self.split_window_ms > self.max_segment_ms // 2:
            raise ValueError(
                f"split_window_ms {self.split_window_ms} is over half of max_segment_ms {self.max_segment_ms}"
            )
        return self


class Segmenter:
    """Stage: judged frames to segments.

    Onset: a segment begins when min_speech_ms of the last onset_window_ms are voiced, so that a click does not begin
    one; its sound goes back to padding.before_ms before the first voiced frame of that window. Until then frames are
    held back, so the onset is heard onset_window_ms late at most; after it, sound is given out frame by frame.

    End: padding.after_ms without a voiced frame, all of it part of the segment.

    Split: in the last split_window_ms of a segment's longest length, what follows the quietest point so far is held
    back; if speech goes on to the longest length, the segment ends at that point and the next one begins there.
    A server that takes less than max_segment_ms has it so from the next segment on.

    A jump of the time index ends a segment.
    """

    def __init__(
        self,
        config: SegmenterConfig,
        padding: PaddingPolicy,
        frame_ms: int,
        most_ms: Callable[[], int] = lambda: UNLIMITED_MS,
    ) -> None:
        """most_ms: the longest segment that the server takes, asked at the beginning of each."""
        if 2 * (padding.before_ms + config.onset_window_ms) > config.max_segment_ms:
            raise ConfigError(
                f"padding.before_ms {padding.before_ms} and segmenter.onset_window_ms {config.onset_window_ms} are "
                f"over half of segmenter.max_segment_ms {config.max_segment_ms}; lengthen that or shorten them"
            )
        self._before_samples = ms_to_samples(padding.before_ms)
        self._after_samples = ms_to_samples(padding.after_ms)
        self._config = config
        self._most_ms = most_ms
        self._least_ms = 2 * (padding.before_ms + config.onset_window_ms)
        self._limit_length()
        self._onset_frames = math.ceil(config.min_speech_ms / frame_ms)
        self._window_frames = max(self._onset_frames, math.ceil(config.onset_window_ms / frame_ms))
        self._history_frames = self._window_frames + math.ceil(padding.before_ms / frame_ms)
        self._reset()

    def _reset(self) -> None:
        self._history: deque[JudgedFrame] = deque(maxlen=self._history_frames)  # the oldest goes when it is full
        self._voiced: deque[bool] = deque(maxlen=self._window_frames)
        self._segment: OpenSegment | None = None
        self._segments = 0
        self._given_until = 0  # the sample up to which sound is in a segment, or is none
        self._next_sample: int | None = None

    def push(self, item: JudgedFrame, /) -> tuple[SegmentEvent, ...]:
        """Takes the next frame."""
        frame = item.frame
        jumped = self._after_jump(frame.start_sample) if frame.start_sample != self._next_sample else ()
        self._next_sample = frame.start_sample + frame.real_samples
        self._voiced.append(item.voiced)
        if self._segment is not None:
            return jumped + self._go_on(self._segment, item)
        self._history.append(item)
        return jumped + self._begin() if item.voiced and sum(self._voiced) >= self._onset_frames else jumped

    def flush(self) -> tuple[SegmentEvent, ...]:
        """Ends the open segment where the source ended."""
        events = self._segment.end(EndReason.END_OF_STREAM) if self._segment else ()
        self._reset()
        return events

    def _after_jump(self, start_sample: int) -> tuple[SegmentEvent, ...]:
        events = self._segment.end(EndReason.END_OF_STREAM) if self._segment else ()
        self._segment = None
        self._history.clear()
        self._voiced.clear()
        self._given_until = start_sample
        return events

    def _begin(self) -> tuple[SegmentEvent, ...]:
        window = list(self._history)[-self._window_frames :]
        voiced_starts = (judged.frame.start_sample for judged in window if judged.voiced)
        first_voiced = next(voiced_starts)
        start = max(first_voiced - self._before_samples, self._given_until, self._history[0].frame.start_sample)
        self._segments += 1
        self._limit_length()
        self._segment = OpenSegment(self._segments, start)
        events = self._segment.begin(tuple(self._history), first_voiced)
        self._history.clear()
        return events

    def _limit_length(self) -> None:
        """For the segment that begins now. Below least_ms nothing could be said: the server must refuse that itself."""
        max_ms = min(self._config.max_segment_ms, max(self._most_ms(), self._least_ms))
        self._max_samples = ms_to_samples(max_ms)
        self._hold_after_samples = ms_to_samples(max_ms - min(self._config.split_window_ms, max_ms // 2))

    def _go_on(self, segment: OpenSegment, item: JudgedFrame) -> tuple[SegmentEvent, ...]:
        start, end = item.frame.start_sample, item.frame.start_sample + item.frame.real_samples
        silent_until = segment.last_voiced_sample + self._after_samples
        if not item.voiced and end >= silent_until and silent_until <= segment.start_sample + self._max_samples:
            return self._end_in(segment, item, silent_until)
        if end > segment.start_sample + self._max_samples:
            return self._split(segment, item)
        if start - segment.start_sample < self._hold_after_samples:
            return segment.give(item)
        return segment.hold(item)

    def _end_in(self, segment: OpenSegment, item: JudgedFrame, end_sample: int) -> tuple[SegmentEvent, ...]:
        self._segment = None
        self._given_until = end_sample
        self._history.append(item)
        return segment.give(item, end_sample) + segment.end(EndReason.SILENCE)

    def _split(self, segment: OpenSegment, item: JudgedFrame) -> tuple[SegmentEvent, ...]:
        self._segments += 1
        self._limit_length()
        self._segment, events = segment.split(self._segments)
        return events + self._go_on(self._segment, item)
