"""Recognises the windows of many streams together: the thin asynchronous shell around scheduler.decide."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import structlog

from voxloop_cloud.decoder import LogProbs
from voxloop_cloud.features import Features
from voxloop_cloud.recognizer import State
from voxloop_cloud.scheduler import BatchPolicy, Go, Wait, decide
from voxloop_proto.errors import ModelError, OverloadError, UnavailableError, VoxloopError

log = structlog.get_logger()

RETRY_AFTER_MS = 500


class Step(NamedTuple):
    """What became of one window.

    log_probs: (T', V) float32 · waited_ms: before its batch began · busy_ms: its share of the batch's time
    """

    log_probs: LogProbs
    state: State
    waited_ms: float
    busy_ms: float


class Steps(Protocol):
    """What the batcher needs of a recognizer; called from its threads, several at once."""

    def step(
        self, states: Sequence[State], windows: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], list[State]]:
        """The next windows of B streams, recognised."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    state: State
    window: Features
    since_ms: float
    outcome: asyncio.Future[Step]


class Batcher:
    """Forms batches across streams and recognises each in a thread. Use as `async with Batcher(...) as batcher`.

    The queue "batcher" belongs to this object: at most queue_limit windows; when it is full, `step` raises
    OverloadError. A batch that fails raises ModelError for its own windows alone. Leaving the block fails what waits
    with UnavailableError; what is being recognised is finished first. A caller that is cancelled gives up its place.
    """

    def __init__(
        self,
        recognizer: Steps,
        max_batch: int = 8,
        max_wait_ms: float = 5.0,
        queue_limit: int = 256,
        threads: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """threads: batches at once, one per core. clock: seconds."""
        self._recognizer = recognizer
        self._policy = BatchPolicy(max_batch=max_batch, max_wait_ms=max_wait_ms, queue_limit=queue_limit)
        self._threads = threads
        self._clock = clock
        self._waiting: deque[_Job] = deque()
        self._free_workers = 0
        self._closed = True

    @property
    def waiting(self) -> int:
        """Windows in the queue now."""
        return len(self._waiting)

    async def __aenter__(self) -> Self:
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="recognizer")
        self._closed = False
        self._workers = await asyncio.TaskGroup().__aenter__()
        for number in range(self._threads):
            self._workers.create_task(self._work(), name=f"batcher-{number}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        while self._waiting:
            _fail(self._waiting.popleft(), _closing())
        self._arrived.set()
        try:
            await self._workers.__aexit__(None, None, None)
        finally:
            self._executor.shutdown()

    async def step(self, state: State, window: Features) -> Step:
        """Recognises a stream's next window, (window_frames, mel_bins) float32, in company if there is some."""
        if self._closed:
            raise UnavailableError("the recognizer is not running; send the segment again")
        if len(self._waiting) >= self._policy.queue_limit:
            raise OverloadError(
                f"{len(self._waiting)} windows wait to be recognised, which is the most allowed; "
                f"try again in {RETRY_AFTER_MS} ms",
                retry_after_ms=RETRY_AFTER_MS,
            )
        job = _Job(state, window, self._now_ms(), asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._arrived.set()
        try:
            return await job.outcome
        finally:
            if job.outcome.cancelled() and job in self._waiting:
                self._waiting.remove(job)

    async def _work(self) -> None:
        while batch := await self._next_batch():
            await self._recognize(batch)

    async def _next_batch(self) -> list[_Job]:
        """Waits for a batch; an empty one means that the batcher is closed. One worker at a time decides."""
        self._free_workers += 1
        try:
            async with self._turn:
                while not self._closed:
                    since_ms = [job.since_ms for job in self._waiting]
                    decision = decide(since_ms, self._free_workers, self._now_ms(), self._policy)
                    if isinstance(decision, Go):
                        return [self._waiting.popleft() for _ in range(decision.count)]
                    await self._news(decision.at_most_ms if isinstance(decision, Wait) else None)
                return []
        finally:
            self._free_workers -= 1

    async def _news(self, at_most_ms: float | None) -> None:
        """Returns when a window arrives, the batcher closes, or the time is over."""
        self._arrived.clear()
        try:
            async with asyncio.timeout(None if at_most_ms is None else at_most_ms / 1000):
                await self._arrived.wait()
        except TimeoutError:
            pass

    async def _recognize(self, batch: list[_Job]) -> None:
        start_ms = self._now_ms()
        try:
            log_probs, states = await asyncio.get_running_loop().run_in_executor(self._executor, self._step, batch)
        except asyncio.CancelledError:
            for job in batch:
                _fail(job, _closing())
            raise
        except Exception as error:  # the task's boundary: whatever failed, the other batches go on
            log.exception("batch failed", batch_size=len(batch))
            failure = error if isinstance(error, VoxloopError) else ModelError(f"the recognizer failed: {error!r}")
            for job in batch:
                _fail(job, type(failure)(failure.message))
            return
        busy_ms = (self._now_ms() - start_ms) / len(batch)
        for job, row, state in zip(batch, log_probs, states, strict=True):
            if not job.outcome.done():
                job.outcome.set_result(Step(row, state, start_ms - job.since_ms, busy_ms))

    def _step(self, batch: list[_Job]) -> tuple[npt.NDArray[np.float32], list[State]]:
        """Runs in a thread."""
        windows = batch[0].window[None] if len(batch) == 1 else np.stack([job.window for job in batch])
        return self._recognizer.step([job.state for job in batch], windows)

    def _now_ms(self) -> float:
        return self._clock() * 1000


def _fail(job: _Job, error: VoxloopError) -> None:
    if not job.outcome.done():
        job.outcome.set_exception(error)


def _closing() -> UnavailableError:
    return UnavailableError("the recognizer is shutting down; send the segment again")
