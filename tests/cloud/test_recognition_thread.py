"""The recognition thread: batches form, failures stay with their own, who waits is first, nothing is left hanging."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud import shadow_pace
from voxloop_cloud.lane import Lane, Steps
from voxloop_cloud.ready_queue import Rank, ReadyQueue
from voxloop_cloud.recognition import SegmentRecognition, transcribe
from voxloop_cloud.recognition_thread import RecognitionThread
from voxloop_cloud.recognizer import Recognizer, State
from voxloop_cloud.testing import babble
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import ModelError, UnavailableError
from voxloop_proto.testing import cut

TIME_LIMIT_S = 20.0
LOUD = 0.99


class GatedSteps:
    """A real recognizer that waits at a gate, notes its batches, and fails on demand."""

    def __init__(self, recognizer: Recognizer, unlucky_batches: Sequence[int] = ()) -> None:
        self.gate = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        self.batches: list[int] = []
        self.first_bins: list[float] = []
        self._recognizer = recognizer
        self._unlucky = unlucky_batches

    def step(
        self, states: Sequence[State], windows: npt.NDArray[np.float32], *, used_up: bool = False
    ) -> tuple[npt.NDArray[np.float32], list[State]]:
        self.batches.append(len(states))
        self.first_bins.append(float(windows[0].mean()))
        self.began.release()
        assert self.gate.acquire(timeout=TIME_LIMIT_S)
        if len(self.batches) - 1 in self._unlucky:
            raise ValueError("unlucky")
        return self._recognizer.step(states, windows, used_up=used_up)

    def open(self, times: int = 1_000) -> None:
        self.gate.release(times)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=TIME_LIMIT_S)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Runs a test to its end; a task that is still there afterwards is a failure."""

    async def checked() -> None:
        async with asyncio.timeout(TIME_LIMIT_S):
            await test
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(checked())


def tone(duration_ms: int, level: float) -> Pcm:
    return babble(duration_ms) * np.float32(level)


def test_streams_equal_each_alone(recognizer: Recognizer) -> None:
    sounds = [babble(900 + 400 * seed, seed) for seed in range(6)]

    async def recognise(thread: RecognitionThread, pcm: Pcm) -> str:
        work = thread.start(SegmentRecognition(recognizer))
        for chunk in cut(pcm, [700, 1600, 40]):
            work.push(chunk.pcm)
            await asyncio.sleep(0)
        return (await work.finish()).text

    async def test() -> None:
        async with RecognitionThread(recognizer, max_batch=4) as thread:
            texts = await asyncio.gather(*(recognise(thread, pcm) for pcm in sounds))
        assert texts == [transcribe(recognizer, pcm).text for pcm in sounds]

    run(test())


@settings(deadline=None, max_examples=20)
@given(lengths=st.lists(st.integers(1, 9000), min_size=1, max_size=8), settle=st.integers(1, 4))
def test_the_text_so_far_covers_all_windows_that_came(recognizer: Recognizer, lengths: list[int], settle: int) -> None:
    """However sound is cut and whenever one asks, the last hypothesis says what the recogniser would offline."""
    pcm = babble(1600)

    async def test() -> None:
        async with RecognitionThread(recognizer) as thread:
            work = thread.start(SegmentRecognition(recognizer))
            for number, chunk in enumerate(cut(pcm, lengths)):
                work.push(chunk.pcm)
                if number % settle == 0:
                    hypothesis = await work.settled()
            hypothesis = await work.settled()
            assert (await work.finish()).text.startswith(hypothesis.text)
            assert hypothesis.text

    run(test())


def test_those_who_come_while_the_thread_is_busy_make_one_batch(recognizer: Recognizer) -> None:
    async def test() -> None:
        steps = GatedSteps(recognizer)
        async with RecognitionThread(steps, max_batch=4) as thread:
            works = [thread.start(SegmentRecognition(recognizer)) for _ in range(4)]
            works[0].push(babble(400))
            await steps.has_begun()
            for work in works[1:]:
                work.push(babble(400))
            assert thread.waiting == 3
            steps.open()
            await asyncio.gather(*(work.settled() for work in works))
        assert steps.batches == [1, 3]

    run(test())


def test_sound_below_a_windows_length_disturbs_nobody(recognizer: Recognizer) -> None:
    async def test() -> None:
        steps = GatedSteps(recognizer)
        async with RecognitionThread(steps) as thread:
            work = thread.start(SegmentRecognition(recognizer))
            work.push(babble(300))
            await work.settled()
            assert (steps.batches, work.waiting_samples) == ([], 0)

    run(test())


def test_sound_that_is_ahead_of_the_recognizer_is_counted_until_it_is_recognised(recognizer: Recognizer) -> None:
    """Also what the thread has taken already: a session that sends faster than it is heard is held up by it."""

    async def test() -> None:
        steps = GatedSteps(recognizer)
        async with RecognitionThread(steps) as thread:
            work = thread.start(SegmentRecognition(recognizer))
            work.push(babble(3000))
            await steps.has_begun()
            assert work.waiting_samples == len(babble(3000))
            work.push(babble(500))
            assert work.waiting_samples == len(babble(3500))
            steps.open()
            await work.settled()
            assert work.waiting_samples == 0

    run(test())


def test_whose_segment_has_ended_comes_first(recognizer: Recognizer) -> None:
    async def test() -> None:
        steps = GatedSteps(recognizer)
        async with RecognitionThread(steps, max_batch=1) as thread:
            first, going_on, ended = (thread.start(SegmentRecognition(recognizer)) for _ in range(3))
            first.push(babble(400))
            await steps.has_begun()
            going_on.push(tone(400, 0.01))
            ended.push(tone(300, LOUD))
            finished = asyncio.create_task(ended.finish())
            await asyncio.sleep(0)
            steps.open()
            await asyncio.gather(finished, going_on.settled())
        quiet, loud = steps.first_bins[-1], steps.first_bins[1]
        assert steps.batches == [1, 1, 1]
        assert loud > quiet

    run(test())


@dataclass(frozen=True)
class Waiting:
    """A stream, as the queue sees it."""

    name: str
    lane: Lane


def lane(max_batch: int = 8) -> Lane:
    """One that nobody steps in."""
    return Lane(cast(Steps, None), max_batch)


def names(taken: Sequence[Waiting]) -> str:
    return "".join(each.name for each in taken)


def test_a_stream_in_line_whose_segment_ends_moves_forward() -> None:
    queue: ReadyQueue[Waiting] = ReadyQueue()
    a, b, c, away = (Waiting(name, only) for only in [lane()] for name in "abc?")
    for stream in (a, b, c):
        queue.add(stream, Rank.GOING_ON)
    queue.hurry(b)
    queue.hurry(away)
    queue.discard(a)
    assert names(queue.take()) == "bc"
    assert len(queue) == 0


def test_a_batch_is_of_one_bundle_and_nobody_loses_their_turn_by_it() -> None:
    queue: ReadyQueue[Waiting] = ReadyQueue()
    ours, theirs = lane(max_batch=3), lane(max_batch=2)
    for name, of in (("a", ours), ("B", theirs), ("c", ours), ("D", theirs), ("e", ours), ("F", theirs), ("g", ours)):
        queue.add(Waiting(name, of), Rank.ENDED if name == "c" else Rank.GOING_ON)
    assert [names(queue.take()) for _ in range(4)] == ["cae", "BD", "F", "g"]


def test_a_shadow_is_served_alone_when_nobody_else_waits() -> None:
    queue: ReadyQueue[Waiting] = ReadyQueue()
    ours, theirs = lane(), lane()
    for name in "xy":
        queue.add(Waiting(name, theirs), Rank.SHADOW)
    queue.add(Waiting("a", ours), Rank.GOING_ON)
    assert len(queue) == 1
    assert [names(queue.take()) for _ in range(2)] == ["a", "x"]
    queue.add(Waiting("b", ours), Rank.ENDED)
    assert [names(queue.take()) for _ in range(2)] == ["b", "y"]
    queue.add(Waiting("z", theirs), Rank.SHADOW)
    assert names(queue.close()) == "z"


def test_whoever_comes_in_the_rest_before_a_shadow_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_pace, "REST_S", TIME_LIMIT_S)
    queue: ReadyQueue[Waiting] = ReadyQueue()
    queue.add(Waiting("x", lane()), Rank.SHADOW)
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(queue.take)
        queue.add(Waiting("a", lane()), Rank.GOING_ON)
        assert names(taken.result(TIME_LIMIT_S)) == "a"


def test_shadows_of_one_stream_after_the_other_are_paced_and_streams_are_not(recognizer: Recognizer) -> None:
    """A turn of the shadow is followed by a rest of nine, in which others are served at once."""

    async def test() -> None:
        async with RecognitionThread(recognizer, shadow_ratio=0.1) as thread:
            shadow = thread.start_shadow(SegmentRecognition(recognizer), thread.lane)
            shadow.push(babble(3000))
            began_s = time.perf_counter()
            heard = asyncio.create_task(shadow.finish())
            work = thread.start(SegmentRecognition(recognizer))
            work.push(babble(900))
            assert (await work.finish()).text
            assert not heard.done()
            assert (await heard).text == transcribe(recognizer, babble(3000)).text
            busy_s = sum(timing.busy_ms for timing in shadow.timings()) / 1000.0
            assert time.perf_counter() - began_s > 5.0 * busy_s

    run(test())


def test_a_failed_batch_fails_its_own_segments_and_the_next_one_is_recognised(recognizer: Recognizer) -> None:
    async def test() -> None:
        steps = GatedSteps(recognizer, unlucky_batches=[1])
        async with RecognitionThread(steps, max_batch=2) as thread:
            works = [thread.start(SegmentRecognition(recognizer)) for _ in range(4)]
            works[0].push(babble(400))
            await steps.has_begun()
            for work in works[1:]:
                work.push(babble(400))
            steps.open()
            outcomes = await asyncio.gather(*(work.finish() for work in works), return_exceptions=True)
            failed = [type(outcome) for outcome in outcomes]
            assert failed[1:3] == [ModelError, ModelError]
            assert ModelError not in (failed[0], failed[3])
            assert "unlucky" in str(outcomes[1])
            assert outcomes[1] is not outcomes[2]
            with pytest.raises(ModelError, match="unlucky"):
                works[1].push(babble(10))

    with structlog.testing.capture_logs() as logs:
        run(test())
    assert [(entry["event"], entry["batch_size"]) for entry in logs] == [("recognition.failed", 2)]


def test_a_stream_that_fails_by_itself_fails_alone(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with RecognitionThread(recognizer, max_batch=2) as thread:
            good, bad = (SegmentRecognition(recognizer) for _ in range(2))
            monkeypatch.setattr(bad, "take", _raise)
            works = [thread.start(segment) for segment in (good, bad)]
            for work in works:
                work.push(babble(1000))
            outcomes = await asyncio.gather(*(work.finish() for work in works), return_exceptions=True)
        assert not isinstance(outcomes[0], BaseException)
        assert isinstance(outcomes[1], ModelError)

    run(test())


def _raise(*_: object, **__: object) -> None:
    raise RuntimeError("a bug in the decoder")


def test_what_is_abandoned_is_not_recognised(recognizer: Recognizer) -> None:
    async def test() -> None:
        steps = GatedSteps(recognizer)
        async with RecognitionThread(steps, max_batch=1) as thread:
            running, waiting = (thread.start(SegmentRecognition(recognizer)) for _ in range(2))
            running.push(babble(1500))
            await steps.has_begun()
            waiting.push(babble(1500))
            waiting.abandon()
            running.abandon()
            assert thread.waiting == 0
            steps.open()
        assert steps.batches == [1]

    run(test())


def test_a_caller_that_is_cancelled_leaves_the_thread_alive(recognizer: Recognizer) -> None:
    async def test() -> None:
        steps = GatedSteps(recognizer)
        async with RecognitionThread(steps) as thread:
            gone, there = (thread.start(SegmentRecognition(recognizer)) for _ in range(2))
            gone.push(babble(400))
            asking = asyncio.create_task(gone.finish())
            await steps.has_begun()
            asking.cancel()
            await asyncio.wait([asking])
            steps.open()
            there.push(babble(400))
            await there.finish()

    run(test())


def test_closing_fails_what_waits_and_finishes_what_runs(recognizer: Recognizer) -> None:
    async def test() -> None:
        steps = GatedSteps(recognizer)
        async with asyncio.TaskGroup() as group:
            async with RecognitionThread(steps, max_batch=1) as thread:
                running, waiting = (thread.start(SegmentRecognition(recognizer)) for _ in range(2))
                running.push(babble(360))
                done = group.create_task(running.settled())
                await steps.has_begun()
                waiting.push(babble(400))
                failing = group.create_task(outcome_of(waiting.finish()))
                await asyncio.sleep(0)
                steps.open()
            assert await done is not None
            assert isinstance(await failing, UnavailableError)
        with pytest.raises(UnavailableError, match="shutting down"):
            running.push(babble(1000))
        with pytest.raises(UnavailableError, match="shutting down"):
            thread.start(SegmentRecognition(recognizer))

    run(test())


async def outcome_of(finish: Coroutine[Any, Any, object]) -> object:
    try:
        return await finish
    except UnavailableError as error:
        return error
