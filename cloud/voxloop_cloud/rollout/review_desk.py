"""Where a session asks people: hands utterances to the queue, waits for answers, gives the model's if none comes."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.results import SessionResults
from voxloop_cloud.rollout import review_reason
from voxloop_cloud.rollout.automation import Answerer, decide, shows_suggestion
from voxloop_cloud.rollout.config import ReviewConfig
from voxloop_cloud.rollout.review import Request, Review, State
from voxloop_cloud.rollout.review_queue import ReviewQueue
from voxloop_cloud.routing.policy import Automation, Mode
from voxloop_proto.errors import VoxloopError
from voxloop_proto.v1 import voxloop_pb2 as pb

_log = structlog.get_logger("voxloop.reviews")

Answer: TypeAlias = "asyncio.Future[pb.Transcript]"


@dataclass(slots=True, eq=False)
class _Asked:
    """One segment that people are asked for. transcript: the model's."""

    transcript: pb.Transcript
    request: Request
    results: SessionResults
    review_id: int | None = None
    waiting: list[Answer] = field(default_factory=list)


class ReviewDesk:
    """Of one process. An answer that comes when its session is gone is among the session's results when it is back.

    Bounded by most_waiting: beyond it, or without the store, or without the device's consent to keep sound and text,
    the model answers.
    """

    def __init__(
        self,
        queue: ReviewQueue,
        flush: Callable[[], object],
        config: ReviewConfig,
        now_s: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """flush: waits until the utterances that were heard are in the store. now_s: Unix seconds. draw: 0 to 1."""
        self._queue = queue
        self._flush = flush
        self._config = config
        self._now_s = now_s
        self._draw = draw
        self._asked: dict[tuple[str, int], _Asked] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = True

    def answerer(self, automation: Automation, hello: pb.Hello, transcript: pb.Transcript) -> Answerer:
        """Who is to answer a segment."""
        if not self._is_open:
            return Answerer.ANSWER
        is_audited = self._draw() < self._config.audit_share
        wanted = decide(automation.mode, transcript.confidence, automation.least_confidence, is_audited)
        if wanted is not Answerer.ANSWER and not (hello.consent.keep_audio and hello.consent.keep_text):
            return Answerer.ANSWER  # nobody may hear it
        if wanted is not Answerer.ANSWER and len(self._asked) + len(self._tasks) >= self._config.most_waiting:
            _log.warning("reviews.full", waiting=len(self._asked), allowed=self._config.most_waiting)
            return Answerer.ANSWER
        return wanted

    def ask(
        self, automation: Automation, hello: pb.Hello, transcript: pb.Transcript, results: SessionResults
    ) -> Answer:
        """The answer to a segment, once a person has given it, or the model's when their time is over.

        The session must have recorded the segment. Asked again, after a break, it waits for the same person.
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        key = (hello.session_id, transcript.segment_id)
        asked = self._asked.get(key)
        if asked is None:
            request = self._request(automation, hello, transcript, is_awaited=True)
            asked = self._asked[key] = _Asked(transcript, request, results)
            self._start(self._file(key, asked), "ask people")
        asked.results = results
        asked.waiting.append(answer)
        return answer

    def audit(self, automation: Automation, hello: pb.Hello, transcript: pb.Transcript) -> None:
        """Has people label a segment that is answered. Returns at once."""
        request = self._request(automation, hello, transcript, is_awaited=False)
        self._start(self._file_audit(request), "audit")

    async def run(self) -> None:
        """Looks for answers until it is cancelled."""
        try:
            while True:
                await asyncio.sleep(self._config.poll_ms / 1000.0)
                await self._look()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.give_up()

    def give_up(self) -> None:
        """The server ends: who waits gets the model's text, and nobody is asked any more."""
        self._is_open = False
        for key in list(self._asked):
            self._give(key, self._asked[key].transcript)

    async def _look(self) -> None:
        asked = {each.review_id: key for key, each in self._asked.items() if each.review_id is not None}
        if not asked:
            return
        try:
            await asyncio.to_thread(self._queue.expire, self._now_s())
            settled = await asyncio.to_thread(self._queue.settled, list(asked))
        except SQLAlchemyError as error:
            self._give_overdue()
            _log.warning("reviews.away", error=str(error).splitlines()[0])
            return
        for review in settled:
            self._settle(asked[review.id], review)
        self._give_overdue()

    def _settle(self, key: tuple[str, int], review: Review) -> None:
        if key not in self._asked:  # given up meanwhile
            return
        model = self._asked[key].transcript
        self._give(key, _by_person(model, review.answer or "") if review.state is State.ANSWERED else model)

    def _give_overdue(self) -> None:
        """The store may be away, or the utterance erased: the device waits no longer for all that."""
        grace_s = 2 * self._config.poll_ms / 1000.0
        for key, asked in list(self._asked.items()):
            if self._now_s() > asked.request.due_s + grace_s:
                self._give(key, asked.transcript)

    def _give(self, key: tuple[str, int], transcript: pb.Transcript) -> None:
        asked = self._asked.pop(key, None)
        if asked is None:
            return
        asked.results.keep(transcript)
        for answer in asked.waiting:
            if not answer.done():
                answer.set_result(transcript)

    async def _file(self, key: tuple[str, int], asked: _Asked) -> None:
        try:
            await asyncio.to_thread(self._flush)
            review = await asyncio.to_thread(self._queue.ask, asked.request, self._now_s())
        except (SQLAlchemyError, VoxloopError) as error:
            _log.warning("review.not_asked", session=key[0], segment=key[1], error=str(error).splitlines()[0])
            review = None
        if review is None:
            self._give(key, asked.transcript)
        else:
            asked.review_id = review.id

    async def _file_audit(self, request: Request) -> None:
        try:
            await asyncio.to_thread(self._flush)
            await asyncio.to_thread(self._queue.ask, request, self._now_s())
        except (SQLAlchemyError, VoxloopError) as error:
            _log.warning("audit.not_asked", session=request.session_id, error=str(error).splitlines()[0])

    def _request(self, automation: Automation, hello: pb.Hello, transcript: pb.Transcript, is_awaited: bool) -> Request:
        patience_ms = self._config.answer_ms if is_awaited else self._config.audit_ms
        return Request(
            session_id=hello.session_id,
            segment_id=transcript.segment_id,
            reason=_reason(automation, transcript.confidence) if is_awaited else review_reason.AUDIT,
            suggestion=transcript.text if is_awaited and shows_suggestion(automation.mode) else None,
            is_awaited=is_awaited,
            due_s=self._now_s() + patience_ms / 1000.0,
        )

    def _start(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def open_review_desk(
    queue: ReviewQueue, flush: Callable[[], object], config: ReviewConfig
) -> AsyncIterator[ReviewDesk]:
    """A desk, until the block is left; who still waits then gets the model's text."""
    desk = ReviewDesk(queue, flush, config)
    task = asyncio.create_task(desk.run(), name="review desk")
    try:
        yield desk
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _reason(automation: Automation, confidence: float) -> str:
    if automation.mode is Mode.PARTIAL:
        return review_reason.unsure(confidence, automation.least_confidence)
    return review_reason.by_policy(automation.mode.value)


def _by_person(model: pb.Transcript, text: str) -> pb.Transcript:
    """A person's text in place of the model's, with what the model took; nobody said when each word began."""
    provenance = pb.Provenance()
    provenance.CopyFrom(model.provenance)
    provenance.route = pb.ROUTE_HUMAN
    return pb.Transcript(segment_id=model.segment_id, text=text, confidence=1.0, provenance=provenance)
