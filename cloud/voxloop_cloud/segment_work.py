"""One segment between the event loop, which brings its sound, and the recognition thread, which makes text of it."""

import asyncio
import time
from typing import NamedTuple, TypeAlias

from voxloop_cloud.decoder import Decoded, Hypothesis, LogProbs
from voxloop_cloud.feature_statistics import FeatureSummary
from voxloop_cloud.features import Features
from voxloop_cloud.lane import Lane
from voxloop_cloud.ready_queue import Rank, ReadyQueue
from voxloop_cloud.recognition import SegmentRecognition
from voxloop_cloud.recognizer import State
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import VoxloopError
from voxloop_proto.telemetry import StageTiming

Waiter: TypeAlias = "asyncio.Future[Hypothesis | Decoded]"


class Outcome(NamedTuple):
    """What the thread found, and who waits for it."""

    waiter: Waiter
    found: Hypothesis | Decoded | VoxloopError


class Step(NamedTuple):
    """What became of one window: log-probabilities (T', V) float32, the next state, its share of the batch's time."""

    log_probs: LogProbs
    state: State
    busy_ms: float


class SegmentWork:
    """Takes sound as it comes, and stands in the queue whenever there is a window's worth of it.

    The event loop's side: `push`, `settled`, `finish`, `abandon`; one of `settled` and `finish` at a time.
    The recognition thread's side: `absorb`, `take`, `settle`, `fail`. They share only what the queue's lock guards.
    """

    def __init__(self, recognition: SegmentRecognition, lane: Lane, queue: "ReadyQueue[SegmentWork]") -> None:
        """lane: the recognizer that the recognition is for."""
        self.lane = lane
        self._recognition = recognition
        self._queue = queue
        self._inbox: list[Pcm] = []
        self._inbox_samples = 0
        self._unheard_samples = 0
        self._wanted_samples = recognition.wanted_samples()
        self._ended = False
        self._is_busy = False
        self._is_over = False
        self._failure: VoxloopError | None = None
        self._waiter: Waiter | None = None
        self._ready_since_s = 0.0
        self._waited_ms = 0.0

    # The event loop's side

    @property
    def waiting_samples(self) -> int:
        """Sound that was pushed and is in no text yet, while there is a window's worth of it."""
        return self._inbox_samples + self._unheard_samples if self._is_busy else 0

    def push(self, pcm: Pcm) -> None:
        """Takes sound, (N,) float32 in [-1, 1], N of any size, and returns at once.

        Raises what the recognition of sound before it failed with. Unbounded by itself: whoever pushes awaits
        `settled` when too many `waiting_samples` have gathered.
        """
        with self._queue.changed:
            if self._failure is not None:
                raise self._failure
            self._inbox.append(pcm)
            self._inbox_samples += pcm.size
            if self._inbox_samples >= self._wanted_samples:
                self._stand_in_line()

    async def settled(self) -> Hypothesis:
        """The text so far, once all windows that are there have been recognised.

        Raises ModelError when the recognizer fails, UnavailableError when it is shutting down.
        """
        with self._queue.changed:
            if self._failure is not None:
                raise self._failure
            if not self._is_busy:
                return self._recognition.hypothesis()
            waiter = self._waiter = asyncio.get_running_loop().create_future()  # the thread may take it at once
        found = await waiter
        assert isinstance(found, Hypothesis)
        return found

    async def finish(self) -> Decoded:
        """Ends the segment; returns its text, before that of segments that go on. Raises as `settled` does."""
        with self._queue.changed:
            if self._failure is not None:
                raise self._failure
            self._ended = True
            waiter = self._waiter = asyncio.get_running_loop().create_future()  # the thread may take it at once
            self._stand_in_line()
        found = await waiter
        assert isinstance(found, Decoded)
        return found

    def abandon(self) -> None:
        """Nobody wants the text any more: what waits is not recognised."""
        with self._queue.changed:
            self._is_over = True
            self._inbox.clear()
            self._queue.discard(self)

    def timings(self) -> tuple[StageTiming, ...]:
        """Time of each stage on this segment, in the order in which sound passes them."""
        return self._recognition.timings()

    def feature_summary(self) -> FeatureSummary | None:
        """What the segment's features were like; to be asked once it has ended."""
        return self._recognition.feature_summary()

    # The recognition thread's side

    @property
    def state(self) -> State:
        """The state that the next window is to be recognised with."""
        return self._recognition.state

    def absorb(self) -> Features | None:
        """Listens to what has come; returns the next window, (window_frames, mel_bins) float32, or None."""
        with self._queue.changed:
            inbox, ended = self._take_inbox(), self._ended and not self._inbox
        self._waited_ms = (time.perf_counter() - self._ready_since_s) * 1000.0
        for pcm in inbox:
            self._recognition.push(pcm)
        self._unheard_samples = self._recognition.samples - self._recognition.recognized_samples
        if ended and not self._recognition.has_ended:
            self._recognition.finish()
        return self._recognition.next_window()

    def take(self, step: Step) -> None:
        """What the recognizer made of the window."""
        self._recognition.take(step.log_probs, step.state, busy_ms=step.busy_ms, waited_ms=self._waited_ms)

    def settle(self) -> Outcome | None:
        """After its turn: stands in line again if there is more, else gives what was found to whoever waits for it."""
        with self._queue.changed:
            self._is_busy = False
            if self._is_over:
                return None
            if self._has_more():
                self._stand_in_line()
                return None
            if self._waiter is None:
                return None
            return self._tell(self._recognition.result() if self._ended else self._recognition.hypothesis())

    def fail(self, error: VoxloopError) -> Outcome | None:
        """The segment cannot be recognised: who waits, or pushes more, gets this error."""
        with self._queue.changed:
            self._is_busy = False
            self._failure = error
            return self._tell(error)

    def _take_inbox(self) -> list[Pcm]:
        """What is listened to in this turn: all that came."""
        inbox, self._inbox, self._inbox_samples = self._inbox, [], 0
        return inbox

    def _rank(self) -> Rank:
        return Rank.ENDED if self._ended else Rank.GOING_ON

    def _has_more(self) -> bool:
        if self._ended:
            return not self._recognition.finished
        self._wanted_samples = self._recognition.wanted_samples()
        return self._inbox_samples >= self._wanted_samples

    def _tell(self, found: Hypothesis | Decoded | VoxloopError) -> Outcome | None:
        waiter, self._waiter = self._waiter, None
        return Outcome(waiter, found) if waiter is not None else None

    def _stand_in_line(self) -> None:
        if self._is_over:
            return
        if not self._is_busy:
            self._is_busy = True
            self._ready_since_s = time.perf_counter()
            self._queue.add(self, self._rank())
        elif self._rank() is Rank.ENDED:
            self._queue.hurry(self)


class ShadowWork(SegmentWork):
    """A copy of a segment that another bundle hears when nobody waits, in turns of a window each.

    Nobody hears of its text but whoever compares, so it may wait, and is never ahead of a stream.
    """

    def _take_inbox(self) -> list[Pcm]:
        """Enough for the next window: the features of a whole segment at once would hold up whoever comes then."""
        inbox: list[Pcm] = []
        missing = self._recognition.wanted_samples()
        while self._inbox and missing > 0:
            inbox.append(self._inbox.pop(0))
            self._inbox_samples -= inbox[-1].size
            missing -= inbox[-1].size
        return inbox

    def _rank(self) -> Rank:
        return Rank.SHADOW
