"""People in place of the model: the answer comes later, on the same stream or when the device is back."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Engine
from tests.cloud.rollout.store_rows import add_utterance

from voxloop_cloud.results import ResultStore, SessionResults
from voxloop_cloud.rollout.automation import Answerer
from voxloop_cloud.rollout.awaited import Awaited
from voxloop_cloud.rollout.config import ReviewConfig
from voxloop_cloud.rollout.review_desk import ReviewDesk
from voxloop_cloud.rollout.review_queue import ReviewQueue
from voxloop_cloud.routing.policy import Automation, Mode
from voxloop_proto.v1 import voxloop_pb2 as pb

NOW_S = 100.0
HUMAN, ASSISTANCE = Automation(mode=Mode.HUMAN), Automation(mode=Mode.ASSISTANCE)
PARTIAL = Automation(mode=Mode.PARTIAL, least_confidence=0.6)
HELLO = pb.Hello(session_id="session", device_id="device", consent=pb.Consent(keep_audio=True, keep_text=True))
PROVENANCE = pb.Provenance(bundle="model", bundle_version="1", route=pb.ROUTE_PRIMARY, server_latency_ms=7.0)
MODELS = pb.Transcript(segment_id=1, text="shop", confidence=0.4, provenance=PROVENANCE)


class Clock:
    """Time as the test has it."""

    now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def results() -> SessionResults:
    return ResultStore().open(HELLO)


def desk_of(database: Engine, clock: Clock, draw: float = 1.0, **settings: object) -> ReviewDesk:
    config = ReviewConfig.model_validate({"poll_ms": 10, "answer_ms": 60_000} | settings)
    return ReviewDesk(ReviewQueue(database, config.most_waiting), lambda: None, config, clock, lambda: draw)


async def at_work(desk: ReviewDesk) -> AsyncIterator[None]:
    task = asyncio.create_task(desk.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until_claimed(database: Engine, name: str = "ann") -> int:
    queue = ReviewQueue(database, 10)
    while (review := queue.claim(name, NOW_S, 60.0)) is None:
        await asyncio.sleep(0.01)
    return review.id


def test_a_persons_answer_takes_the_place_of_the_models(database: Engine, clock: Clock) -> None:
    add_utterance(database, 1, NOW_S)
    kept = results()

    async def run() -> pb.Transcript:
        desk = desk_of(database, clock)
        async for _ in at_work(desk):
            answer = desk.ask(HUMAN, HELLO, MODELS, kept)
            review_id = await until_claimed(database)
            ReviewQueue(database, 10).answer(review_id, "ann", "stop", NOW_S)
            async with asyncio.timeout(30):
                return await answer
        raise AssertionError

    told = asyncio.run(run())
    assert (told.segment_id, told.text, told.confidence) == (1, "stop", 1.0)
    assert told.provenance.route == pb.ROUTE_HUMAN
    assert (told.provenance.bundle, told.provenance.server_latency_ms) == ("model", 7.0)
    assert kept.find(1) == told


@pytest.mark.parametrize("is_in_store", [True, False])
def test_where_no_person_answers_in_time_the_model_does(database: Engine, clock: Clock, is_in_store: bool) -> None:
    if is_in_store:
        add_utterance(database, 1, NOW_S)
    kept = results()

    async def run() -> pb.Transcript:
        desk = desk_of(database, clock)
        async for _ in at_work(desk):
            answer = desk.ask(HUMAN, HELLO, MODELS, kept)
            if is_in_store:
                await until_claimed(database)
                clock.now_s = NOW_S + 61
            async with asyncio.timeout(30):
                return await answer
        raise AssertionError

    assert asyncio.run(run()) == kept.find(1) == MODELS


def test_the_answer_is_kept_for_a_session_that_is_gone_and_given_once_it_is_back(
    database: Engine, clock: Clock
) -> None:
    add_utterance(database, 1, NOW_S)
    kept = results()

    async def run() -> None:
        desk = desk_of(database, clock)
        async for _ in at_work(desk):
            gone = desk.ask(HUMAN, HELLO, MODELS, kept)
            gone.cancel()
            review_id = await until_claimed(database)
            back = desk.ask(HUMAN, HELLO, MODELS, kept)
            ReviewQueue(database, 10).answer(review_id, "ann", "stop", NOW_S)
            async with asyncio.timeout(30):
                assert (await back).text == "stop"
        assert len(ReviewQueue(database, 10).listed()) == 1

    asyncio.run(run())
    found = kept.find(1)
    assert found is not None
    assert found.text == "stop"


def test_a_server_that_ends_gives_the_models_texts(database: Engine, clock: Clock) -> None:
    add_utterance(database, 1, NOW_S)

    async def run() -> None:
        desk = desk_of(database, clock)
        answer = desk.ask(HUMAN, HELLO, MODELS, results())
        desk.give_up()
        assert await answer == MODELS
        assert desk.answerer(HUMAN, HELLO, MODELS) is Answerer.ANSWER

    asyncio.run(run())


@pytest.mark.parametrize(
    ("automation", "consent", "draw", "answerer"),
    [
        (HUMAN, HELLO.consent, 1.0, Answerer.REVIEW),
        (PARTIAL, HELLO.consent, 1.0, Answerer.REVIEW),
        (Automation(), HELLO.consent, 0.05, Answerer.BOTH),
        (Automation(), HELLO.consent, 0.5, Answerer.ANSWER),
        (HUMAN, pb.Consent(keep_text=True), 1.0, Answerer.ANSWER),
        (HUMAN, pb.Consent(keep_audio=True), 1.0, Answerer.ANSWER),
    ],
)
def test_people_hear_only_what_they_may(
    database: Engine, clock: Clock, automation: Automation, consent: pb.Consent, draw: float, answerer: Answerer
) -> None:
    desk = desk_of(database, clock, draw, audit_share=0.1)
    hello = pb.Hello(session_id="session", device_id="device", consent=consent)
    assert desk.answerer(automation, hello, MODELS) is answerer


@pytest.mark.parametrize(("automation", "suggestion"), [(HUMAN, None), (ASSISTANCE, "shop"), (PARTIAL, "shop")])
def test_the_reviewer_sees_the_models_text_where_it_is_to_help(
    database: Engine, clock: Clock, automation: Automation, suggestion: str | None
) -> None:
    add_utterance(database, 1, NOW_S)

    async def run() -> None:
        desk = desk_of(database, clock)
        async for _ in at_work(desk):
            desk.ask(automation, HELLO, MODELS, results())
            await until_claimed(database)

    asyncio.run(run())
    [review] = ReviewQueue(database, 10).listed()
    assert review.suggestion == suggestion
    assert review.is_awaited


def test_while_people_listen_the_device_is_told_that_its_segment_is_here(database: Engine, clock: Clock) -> None:
    add_utterance(database, 1, NOW_S)

    async def run() -> list[pb.RecognizeResponse]:
        desk = desk_of(database, clock)
        awaited = Awaited(desk, ack_every_s=0.02)
        assert not awaited
        assert awaited.ask(HUMAN, HELLO, MODELS, results(), 16_000)
        assert awaited
        first = await awaited.next()
        desk.give_up()
        last = await awaited.next()
        assert not awaited
        return [first, last]

    first, last = asyncio.run(run())
    assert first.ack == pb.Ack(segment_id=1, received_samples=16_000)
    assert last.transcript == MODELS
