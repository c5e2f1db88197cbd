"""The batcher: batches form, failures stay with their own, nothing is left hanging."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import structlog

from voxloop_cloud.batcher import Batcher, Step
from voxloop_cloud.features import Features
from voxloop_cloud.recognition import SegmentRecognition, transcribe
from voxloop_cloud.recognizer import Recognizer, State
from voxloop_cloud.testing import babble
from voxloop_proto.errors import ModelError, OverloadError, UnavailableError

TIME_LIMIT_S = 20.0
LONG_MS = 1000.0

STATE = State((np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32), np.zeros(1, np.int64)))


class GatedSteps:
    """A recognizer that answers with the window's first value, once its gate is open; 13 makes its batch fail."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        self.batches: list[list[float]] = []

    def step(
        self, states: Sequence[State], windows: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], list[State]]:
        self.batches.append(windows[:, 0, 0].tolist())
        self.began.release()
        assert self.gate.acquire(timeout=TIME_LIMIT_S)
        if 13 in self.batches[-1]:
            raise ValueError("unlucky")
        return windows[:, :, :1], list(states)

    def open(self, times: int = 100) -> None:
        self.gate.release(times)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=TIME_LIMIT_S)


def window(value: float) -> Features:
    return np.full((2, 3), value, np.float32)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Runs a test to its end; a task that is still there afterwards is a failure."""

    async def checked() -> None:
        async with asyncio.timeout(TIME_LIMIT_S):
            await test
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(checked())


async def value_of(step: Coroutine[Any, Any, Step]) -> float:
    return float((await step).log_probs[0, 0])


def test_windows_that_come_together_make_one_batch() -> None:
    async def test() -> None:
        steps = GatedSteps()
        steps.open()
        async with Batcher(steps, max_batch=4, max_wait_ms=LONG_MS) as batcher:
            values = await asyncio.gather(*(value_of(batcher.step(STATE, window(i))) for i in range(8)))
        assert values == list(range(8))
        assert steps.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]

    run(test())


def test_a_lone_window_goes_once_it_has_waited() -> None:
    async def test() -> None:
        steps = GatedSteps()
        steps.open()
        async with Batcher(steps, max_batch=4, max_wait_ms=1.0) as batcher:
            step = await batcher.step(STATE, window(5))
        assert steps.batches == [[5]]
        assert step.waited_ms >= 1.0
        assert step.busy_ms > 0

    run(test())


def test_windows_gather_while_the_only_worker_is_busy() -> None:
    async def test() -> None:
        steps = GatedSteps()
        async with Batcher(steps, max_batch=4, max_wait_ms=0.0) as batcher, asyncio.TaskGroup() as group:
            group.create_task(batcher.step(STATE, window(0)))
            await steps.has_begun()
            for value in (1, 2, 3):
                group.create_task(batcher.step(STATE, window(value)))
            await asyncio.sleep(0)
            steps.open()
        assert steps.batches == [[0], [1, 2, 3]]

    run(test())


def test_two_threads_recognise_two_batches_at_the_same_time() -> None:
    async def test() -> None:
        steps = GatedSteps()
        async with Batcher(steps, max_batch=1, threads=2) as batcher, asyncio.TaskGroup() as group:
            for value in (1, 2):
                group.create_task(batcher.step(STATE, window(value)))
            await steps.has_begun()
            await steps.has_begun()
            steps.open()
        assert sorted(steps.batches) == [[1], [2]]

    run(test())


def test_a_failed_batch_fails_its_own_windows_and_the_next_one_is_recognised() -> None:
    async def test() -> None:
        steps = GatedSteps()
        steps.open()
        async with Batcher(steps, max_batch=2, max_wait_ms=LONG_MS) as batcher:
            outcomes = await asyncio.gather(
                *(batcher.step(STATE, window(value)) for value in (13, 1, 2, 3)), return_exceptions=True
            )
        assert [type(outcome) for outcome in outcomes] == [ModelError, ModelError, Step, Step]
        assert "unlucky" in str(outcomes[0])
        assert outcomes[0] is not outcomes[1]

    with structlog.testing.capture_logs() as logs:
        run(test())
    assert [(entry["event"], entry["batch_size"]) for entry in logs] == [("batch failed", 2)]


def test_one_window_too_many_is_refused_at_once() -> None:
    async def test() -> None:
        steps = GatedSteps()
        async with Batcher(steps, max_batch=1, queue_limit=2) as batcher, asyncio.TaskGroup() as group:
            group.create_task(batcher.step(STATE, window(0)))
            await steps.has_begun()
            for value in (1, 2):
                group.create_task(batcher.step(STATE, window(value)))
            await asyncio.sleep(0)
            with pytest.raises(OverloadError, match="2 windows wait to be recognised, which is the most") as caught:
                await batcher.step(STATE, window(3))
            assert caught.value.retry_after_ms > 0
            steps.open()
        assert steps.batches == [[0], [1], [2]]

    run(test())


def test_a_cancelled_caller_gives_up_its_place() -> None:
    async def test() -> None:
        steps = GatedSteps()
        async with Batcher(steps, max_batch=1, queue_limit=2) as batcher, asyncio.TaskGroup() as group:
            running = group.create_task(batcher.step(STATE, window(0)))
            await steps.has_begun()
            waiting = group.create_task(batcher.step(STATE, window(1)))
            await asyncio.sleep(0)
            assert batcher.waiting == 1
            running.cancel()
            waiting.cancel()
            await asyncio.wait([running, waiting])
            assert batcher.waiting == 0
            steps.open()
            assert await value_of(batcher.step(STATE, window(2))) == 2
        assert steps.batches == [[0], [2]]

    run(test())


def test_closing_fails_what_waits_and_finishes_what_runs() -> None:
    async def test() -> None:
        steps = GatedSteps()
        async with asyncio.TaskGroup() as group, Batcher(steps, max_batch=1) as batcher:
            running = group.create_task(value_of(batcher.step(STATE, window(7))))
            await steps.has_begun()
            waiting = group.create_task(outcome_of(batcher.step(STATE, window(8))))
            await asyncio.sleep(0)
            steps.open()
        assert running.result() == 7
        assert isinstance(waiting.result(), UnavailableError)
        with pytest.raises(UnavailableError, match="not running"):
            await batcher.step(STATE, window(9))

    run(test())


def test_an_error_inside_the_block_comes_out_of_it() -> None:
    async def test() -> None:
        with pytest.raises(KeyError, match="mine"):
            async with Batcher(GatedSteps(), threads=3):
                raise KeyError("mine")

    run(test())


def test_streams_through_the_batcher_equal_each_alone(recognizer: Recognizer) -> None:
    sounds = [babble(900 + 400 * seed, seed) for seed in range(6)]

    async def recognise(batcher: Batcher, seed: int) -> str:
        segment = SegmentRecognition(recognizer)
        segment.push(sounds[seed])
        segment.finish()
        while (frames := segment.next_window()) is not None:
            step = await batcher.step(segment.state, frames)
            segment.take(step.log_probs, step.state)
        return segment.result().text

    async def test() -> None:
        async with Batcher(recognizer, max_batch=4, max_wait_ms=2.0, threads=2) as batcher:
            texts = await asyncio.gather(*(recognise(batcher, seed) for seed in range(6)))
        assert texts == [transcribe(recognizer, pcm).text for pcm in sounds]

    run(test())


async def outcome_of(step: Coroutine[Any, Any, Step]) -> Step | UnavailableError:
    try:
        return await step
    except UnavailableError as error:
        return error
