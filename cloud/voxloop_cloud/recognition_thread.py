"""The thread that recognises: batch after batch of whoever has a window, from sound to text."""

import asyncio
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
import structlog

from voxloop_cloud.features import Features
from voxloop_cloud.lane import Lane, Steps
from voxloop_cloud.ready_queue import ReadyQueue, closing
from voxloop_cloud.recognition import SegmentRecognition
from voxloop_cloud.segment_work import Outcome, SegmentWork, ShadowWork, Step
from voxloop_cloud.shadow_pace import ShadowPace
from voxloop_proto.errors import ModelError, VoxloopError

_log = structlog.get_logger()


class RecognitionThread:
    """Features, model and decoding of all streams of a process. Use as `async with RecognitionThread(...) as thread`.

    One thread, because Python runs one at a time: what fills more cores is more processes (workers.py). Nobody waits
    for company: a batch is who is there when the thread is free, which under load is many, and at rest one.
    A batch that fails in the model fails its own segments alone, a stream that fails by itself only that one. Leaving
    the block fails what waits with UnavailableError; what is being recognised is finished first.

    Several bundles may be in use. A batch is of one of them, of whoever is first in line.
    """

    def __init__(self, recognizer: Steps, max_batch: int = 8, shadow_ratio: float = 1.0) -> None:
        """recognizer: of segments that do not name their own. max_batch: windows recognised in one step.

        shadow_ratio: of the time, that shadows take at most.
        """
        self.lane = Lane(recognizer, max_batch)
        self._queue: ReadyQueue[SegmentWork] = ReadyQueue(ShadowPace(shadow_ratio))
        self._is_open = False

    def start(self, recognition: SegmentRecognition, lane: Lane | None = None) -> SegmentWork:
        """A new segment. lane: of its bundle, if that is another. Raises UnavailableError outside of the block."""
        if not self._is_open:
            raise closing()
        return SegmentWork(recognition, lane or self.lane, self._queue)

    def start_shadow(self, recognition: SegmentRecognition, lane: Lane) -> ShadowWork:
        """A copy of a segment, recognised when nobody else waits. Raises UnavailableError outside of the block."""
        if not self._is_open:
            raise closing()
        return ShadowWork(recognition, lane, self._queue)

    @property
    def waiting(self) -> int:
        """Streams that have a window and wait for their turn."""
        return len(self._queue)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="recognition", daemon=True)
        self._is_open = True
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        left = self._queue.close()
        _tell([work.fail(closing()) for work in left])
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while works := self._queue.take():
            outcomes = [outcome for outcome in self._turn(works) if outcome is not None]
            if outcomes:
                self._loop.call_soon_threadsafe(_tell, outcomes)

    def _turn(self, works: Sequence[SegmentWork]) -> list[Outcome | None]:
        """One window of each stream, all of one lane."""
        outcomes: list[Outcome | None] = []
        ready: list[tuple[SegmentWork, Features]] = []
        for work in works:
            try:
                window = work.absorb()
            except Exception as error:  # noqa: BLE001 (the stream's boundary: the others go on)
                outcomes.append(work.fail(_failure(error, "features")))
                continue
            if window is None:
                outcomes.append(_settle(work))
            else:
                ready.append((work, window))
        return outcomes + (self._step(ready) if ready else [])

    def _step(self, ready: Sequence[tuple[SegmentWork, Features]]) -> list[Outcome | None]:
        start_s = time.perf_counter()
        recognizer = ready[0][0].lane.recognizer
        windows = ready[0][1][None] if len(ready) == 1 else np.stack([window for _, window in ready])
        try:
            log_probs, states = recognizer.step([work.state for work, _ in ready], windows, used_up=True)
        except Exception as error:  # noqa: BLE001 (the batch's boundary: the others go on)
            failure = _failure(error, "recognizer", batch_size=len(ready))
            return [work.fail(type(failure)(failure.message)) for work, _ in ready]
        busy_ms = (time.perf_counter() - start_s) * 1000.0 / len(ready)
        rows = zip(ready, log_probs, states, strict=True)
        return [_settle(work, Step(row, state, busy_ms)) for (work, _), row, state in rows]


def _settle(work: SegmentWork, step: Step | None = None) -> Outcome | None:
    try:
        if step is not None:
            work.take(step)
        return work.settle()
    except Exception as error:  # noqa: BLE001 (the stream's boundary: the others go on)
        return work.fail(_failure(error, "decoder"))


def _failure(error: Exception, stage: str, **of_what: int) -> VoxloopError:
    """As one of ours; anything else is a fault of the server, and its log has the trace."""
    _log.error("recognition.failed", stage=stage, exc_info=error, **of_what)
    return error if isinstance(error, VoxloopError) else ModelError(f"the {stage} failed: {error!r}")


def _tell(outcomes: Sequence[Outcome | None]) -> None:
    """On the event loop: wakes those who wait; whoever was cancelled doesn't any more."""
    for waiter, found in filter(None, outcomes):
        if waiter.done():
            continue
        if isinstance(found, VoxloopError):
            waiter.set_exception(found)
        else:
            waiter.set_result(found)
