"""One session's segments that people are hearing, and the answers to them as they come."""

import asyncio
from typing import Final

from voxloop_cloud.results import SessionResults
from voxloop_cloud.rollout.automation import Answerer
from voxloop_cloud.rollout.review_desk import Answer, ReviewDesk
from voxloop_cloud.routing.policy import Automation
from voxloop_proto.v1 import voxloop_pb2 as pb

ACK_EVERY_S: Final = 15.0
"""While people listen, the device hears this often that its segment is here: its patience is 60 s of silence."""


class Awaited:
    """True while there are some. Leaving a session takes nothing from its segments: the desk keeps their answers."""

    def __init__(self, desk: ReviewDesk, ack_every_s: float = ACK_EVERY_S) -> None:
        self._desk = desk
        self._ack_every_s = ack_every_s
        self._acks: dict[Answer, pb.Ack] = {}

    def __bool__(self) -> bool:
        return bool(self._acks)

    def ask(
        self,
        automation: Automation,
        hello: pb.Hello,
        transcript: pb.Transcript,
        results: SessionResults,
        received_samples: int,
    ) -> bool:
        """Hands a segment that was recorded to people if the degree of automation says so; True if they answer it.

        One that the model answers may be drawn for a label; nobody waits for that.
        """
        answerer = self._desk.answerer(automation, hello, transcript)
        if answerer is Answerer.BOTH:
            self._desk.audit(automation, hello, transcript)
        if answerer is not Answerer.REVIEW:
            return False
        answer = self._desk.ask(automation, hello, transcript, results)
        self._acks[answer] = pb.Ack(segment_id=transcript.segment_id, received_samples=received_samples)
        return True

    async def next(self) -> pb.RecognizeResponse:
        """The next answer, or, after a while without one, another Ack of a segment that waits."""
        done, _ = await asyncio.wait(self._acks, timeout=self._ack_every_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return pb.RecognizeResponse(ack=next(iter(self._acks.values())))
        answer = done.pop()
        del self._acks[answer]
        return pb.RecognizeResponse(transcript=answer.result())
