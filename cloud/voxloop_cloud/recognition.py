"""The recognition of one segment: sound in, windows out, log-probabilities in, text out.

The one code path: a live stream and a file on disk are both a start, the steps, and one finish.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from voxloop_cloud.decoder import Decoded, DecodedWord, Hypothesis, LogProbs
from voxloop_cloud.feature_statistics import FeatureStatistics, FeatureSummary
from voxloop_cloud.features import Features, FeatureStream
from voxloop_cloud.recognizer import Recognizer, State
from voxloop_proto.audio import Pcm, samples_to_ms
from voxloop_proto.telemetry import StageTiming

if TYPE_CHECKING:  # at run time only bundles of phones load what searches
    from voxloop_cloud.hotwords import Hotwords


class SegmentRecognition:
    """One segment's features, windows and decoder. It asks for windows to be recognised; who does it, and when, is not
    its business: `next_window`, then `take` of what the recognizer made of it and of `state`, until there is none.

    A window is given out as soon as all its frames are there, so the latency is its length and 17.5 ms. At the end the
    segment is padded with digital silence until each frame whose centre lies in its sound has been among the first
    shift_frames of a window (ChunkConfig.steps_for). What the model hears in the padding counts: it may still be
    writing what it heard at the end. An offline model has one window, the segment, once it is finished.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        hotwords: "Hotwords | None" = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """hotwords: made ready by this recognizer's decoding. clock: seconds, for the stages' times only."""
        config = recognizer.bundle.config
        self._features_config = config.features
        self._windows = config.windows
        self._features = FeatureStream(config.features)
        self._decoder = recognizer.decoding.start(hotwords)
        self._state = recognizer.start()
        self._window: Features | None = None
        self._statistics = FeatureStatistics()
        self._steps = 0
        self._recognized_frames = 0
        self._segment_frames: int | None = None
        self._clock = clock
        self._features_s = self._decoder_s = 0.0
        self._recognizer_ms = self._waited_ms = 0.0

    @property
    def state(self) -> State:
        """The state that the next window is to be recognised with."""
        return self._state

    @property
    def samples(self) -> int:
        """Samples pushed so far."""
        return self._features.samples

    @property
    def recognized_samples(self) -> int:
        """Samples from the start that the hypothesis covers."""
        return min(self.samples, self._recognized_frames * self._features_config.shift_samples)

    def push(self, pcm: Pcm) -> None:
        """Takes sound, (N,) float32 in [-1, 1], N of any size."""
        start_s = self._clock()
        self._features.push(pcm)
        self._features_s += self._clock() - start_s

    def wanted_samples(self) -> float:
        """Samples that are missing for the next window; 0 if it is there, infinite if only `finish` brings one."""
        frames = self._windows.frames_of(self._steps, None)
        return math.inf if frames is None else max(0, self._features_config.samples_for(frames.stop) - self.samples)

    def finish(self) -> None:
        """The segment ends here; what is left of it comes as windows, too."""
        start_s = self._clock()
        self._segment_frames = self._features_config.frames_in(self.samples)
        self._features.finish(self._windows.padded_frames(self._segment_frames))
        self._features_s += self._clock() - start_s

    def next_window(self) -> Features | None:
        """What to recognise next, (window_frames, mel_bins) float32: the same until `take`. None if more sound is
        needed, or, after `finish`, if all is done."""
        frames = self._windows.frames_of(self._steps, self._segment_frames)
        if self._window is None and frames is not None and frames.stop <= self._features.frames_ready:
            start_s = self._clock()
            self._features.drop_before(frames.start)
            self._window = self._features.window(frames.start, len(frames))
            self._statistics.add(self._window[: self._own_frames(frames)])
            self._features_s += self._clock() - start_s
        return self._window

    def _own_frames(self, frames: range) -> int:
        """How many of a window's frames no other window begins with and no padding made."""
        following = self._windows.frames_of(self._steps + 1, None)
        stop = frames.stop if following is None else following.start
        return max(0, (stop if self._segment_frames is None else min(stop, self._segment_frames)) - frames.start)

    def take(self, log_probs: LogProbs, state: State, *, busy_ms: float = 0.0, waited_ms: float = 0.0) -> None:
        """What the recognizer made of the window: log-probabilities (T', V), the next state, and what it took."""
        assert self._window is not None, "take without a window"
        start_s = self._clock()
        self._decoder.push(log_probs)
        self._decoder_s += self._clock() - start_s
        self._recognizer_ms += busy_ms
        self._waited_ms += waited_ms
        self._state = state
        self._window = None
        self._steps += 1
        self._recognized_frames += len(log_probs) * self._windows.subsampling_factor

    @property
    def has_ended(self) -> bool:
        """True once `finish` was called."""
        return self._segment_frames is not None

    @property
    def finished(self) -> bool:
        """True once `finish` was called and every window of the segment was taken."""
        return self._segment_frames is not None and self._windows.frames_of(self._steps, self._segment_frames) is None

    def hypothesis(self) -> Hypothesis:
        """The text so far."""
        return self._decoder.hypothesis()

    def result(self) -> Decoded:
        """The text, with no word reaching past the segment's end."""
        start_s = self._clock()
        decoded = self._decoder.result()
        end_ms = samples_to_ms(self.samples)
        decoded = replace(decoded, words=tuple(_cut_off(word, end_ms) for word in decoded.words))
        self._decoder_s += self._clock() - start_s
        return decoded

    def feature_summary(self) -> FeatureSummary | None:
        """What the features of all windows so far were like; None if there was none."""
        return self._statistics.summary()

    def timings(self) -> tuple[StageTiming, ...]:
        """What this segment took so far."""
        return (
            StageTiming("features", self._features_s * 1000),
            StageTiming("recognizer", self._recognizer_ms, self._waited_ms),
            StageTiming("decoder", self._decoder_s * 1000),
        )


def transcribe(recognizer: Recognizer, pcm: Pcm, hotwords: "Hotwords | None" = None) -> Decoded:
    """The text of a whole segment, (N,) float32 in [-1, 1]; equal to what a stream of it gives."""
    segment = SegmentRecognition(recognizer, hotwords)
    segment.push(pcm)
    segment.finish()
    while (window := segment.next_window()) is not None:
        log_probs, (state,) = recognizer.step([segment.state], window[None], used_up=True)
        segment.take(log_probs[0], state)
    return segment.result()


def _cut_off(word: DecodedWord, end_ms: float) -> DecodedWord:
    return replace(word, start_ms=min(word.start_ms, end_ms), end_ms=min(word.end_ms, end_ms))
