"""A segment that has begun and not yet ended: its sound, and what is measured on it."""

import numpy as np

from voxloop_proto.audio import SILENCE_DBFS, Pcm, level_dbfs
from voxloop_proto.events import (
    EndReason,
    Frame,
    JudgedFrame,
    SegmentAudio,
    SegmentEnded,
    SegmentEvent,
    SegmentMeasures,
    SegmentStarted,
)

_CLIPPED_PEAK = 0.999  # full scale, give or take what a lossy codec or a resampler made of it


class SegmentMeter:
    """Adds up what is measured on one segment, as recorded.

    background_dbfs: level before the segment, None if nothing came before it; then the unvoiced frames inside it count.
    """

    def __init__(self, background_dbfs: float | None) -> None:
        self.background_dbfs = background_dbfs
        self._voiced_energy = self._voiced_samples = self._clipped_samples = 0.0
        self._other_energy = self._other_samples = 0.0

    def add(self, pcm: Pcm, voiced: bool) -> None:
        """Counts the sound of one frame."""
        energy = float(np.dot(pcm, pcm))
        if voiced:
            self._voiced_energy += energy
            self._voiced_samples += len(pcm)
        else:
            self._other_energy += energy
            self._other_samples += len(pcm)
        if pcm.size and (pcm.max() >= _CLIPPED_PEAK or pcm.min() <= -_CLIPPED_PEAK):
            self._clipped_samples += np.count_nonzero(np.abs(pcm) >= _CLIPPED_PEAK)

    def take(self) -> SegmentMeasures:
        """The measures so far."""
        samples = self._voiced_samples + self._other_samples
        inside_dbfs = _level_dbfs(self._other_energy, self._other_samples)
        level = _level_dbfs(self._voiced_energy, self._voiced_samples) if self._voiced_samples else inside_dbfs
        background = inside_dbfs if self.background_dbfs is None else self.background_dbfs
        return SegmentMeasures(
            raw_level_dbfs=level,
            clipped_ratio=self._clipped_samples / samples if samples else 0.0,
            voiced_ratio=self._voiced_samples / samples if samples else 0.0,
            snr_db=level - background,
        )


class OpenSegment:
    """Gives out a segment's sound; keeps back only what a split may leave to the next segment."""

    def __init__(self, segment_id: int, start_sample: int, background_dbfs: float | None = None) -> None:
        self.start_sample = start_sample
        self.last_voiced_sample = start_sample
        self._segment_id = segment_id
        self._meter = SegmentMeter(background_dbfs)
        self._given_until = start_sample
        self._given_voiced_until = start_sample
        self._held: list[JudgedFrame] = []
        self._last_power = self._least_power = np.inf

    def begin(self, frames: tuple[JudgedFrame, ...], first_voiced_sample: int) -> tuple[SegmentEvent, ...]:
        """Says that the segment has begun, and gives the frames so far, from its first sample on."""
        pre_roll = [_part(judged.frame, self.start_sample, first_voiced_sample) for judged in frames]
        pre_roll_pcm = np.concatenate(pre_roll)
        level = level_dbfs(pre_roll_pcm)
        if len(pre_roll_pcm):
            self._meter.background_dbfs = level
        started = SegmentStarted(self._segment_id, self.start_sample, len(pre_roll_pcm), level)
        for judged in frames:
            self._hear(judged)
        return (started, *self._give_all(frames))

    def give(self, item: JudgedFrame, end_sample: int | None = None) -> tuple[SegmentEvent, ...]:
        """Gives out all that is held, and the frame, up to end_sample if that comes first."""
        self._hear(item)
        frames, self._held = (*self._held, item), []
        self._least_power = np.inf
        return self._give_all(frames, end_sample)

    def hold(self, item: JudgedFrame) -> tuple[SegmentEvent, ...]:
        """Keeps the frame back, unless the point before it is the quietest so far: then gives what is before it."""
        power_before = self._last_power
        self._hear(item)
        power = power_before + self._last_power
        if power > self._least_power:
            self._held.append(item)
            return ()
        frames, self._held = tuple(self._held), [item]
        self._least_power = power
        return self._give_all(frames)

    def split(self, next_id: int) -> tuple["OpenSegment", tuple[SegmentEvent, ...]]:
        """Ends this segment before what is held, and begins the next one with it."""
        successor = OpenSegment(next_id, self._given_until, self._meter.background_dbfs)
        successor.last_voiced_sample = self.last_voiced_sample
        held, self._held = tuple(self._held), []
        background = SILENCE_DBFS if self._meter.background_dbfs is None else self._meter.background_dbfs
        started = SegmentStarted(next_id, successor.start_sample, 0, background)
        for judged in held:
            successor._hear(judged)
        held_samples = sum(judged.frame.real_samples for judged in held)
        return successor, (*self.end(EndReason.MAX_LENGTH, held_samples), started, *successor._give_all(held))

    def end(self, reason: EndReason, held_samples: int = 0) -> tuple[SegmentEvent, ...]:
        """Gives out all that is held and ends the segment there. held_samples: heard since, for the next one."""
        events = self._give_all(tuple(self._held))
        ended = SegmentEnded(
            self._segment_id, self._given_until, self._given_voiced_until, reason, self._meter.take(), held_samples
        )
        return (*events, ended)

    def _hear(self, item: JudgedFrame) -> None:
        frame = item.frame
        self._last_power = float(np.dot(frame.pcm, frame.pcm))
        if item.voiced:
            self.last_voiced_sample = frame.start_sample + frame.real_samples

    def _give_all(self, frames: tuple[JudgedFrame, ...], end_sample: int | None = None) -> tuple[SegmentEvent, ...]:
        parts = []
        start = self._given_until
        for judged in frames:
            frame = judged.frame
            end = frame.start_sample + frame.real_samples
            if end_sample is not None:
                end = min(end, end_sample)
            pcm = _part(frame, self._given_until, end)
            if len(pcm) == 0:
                continue
            self._meter.add(pcm, judged.voiced)
            self._given_until = end
            if judged.voiced:
                self._given_voiced_until = end
            parts.append(pcm)
        if not parts:
            return ()
        return (SegmentAudio(self._segment_id, start, parts[0] if len(parts) == 1 else np.concatenate(parts)),)


def _part(frame: Frame, start_sample: int, end_sample: int) -> Pcm:
    """The frame's sound from start_sample to end_sample, as far as it is in it; never its padding."""
    first = max(0, start_sample - frame.start_sample)
    last = min(frame.real_samples, end_sample - frame.start_sample)
    return frame.pcm[first : max(first, last)]


def _level_dbfs(energy: float, samples: float) -> float:
    return max(SILENCE_DBFS, 10.0 * float(np.log10(energy / samples))) if energy > 0 else SILENCE_DBFS
