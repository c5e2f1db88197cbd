"""The device's end of a session: sends segments, takes answers, and comes back after a break."""

import asyncio
import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

import grpc
import grpc.aio

from voxloop_edge.call_error import to_error
from voxloop_edge.channel import open_stub
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.outbox import Outbox
from voxloop_edge.reconnection import Reconnection
from voxloop_edge.replies import (
    HotwordsIgnored,
    HypothesisArrived,
    LinkChanged,
    Reply,
    SegmentFailed,
    TranscriptArrived,
)
from voxloop_edge.wire import WireWriter
from voxloop_proto.audio import samples_to_ms
from voxloop_proto.contract import RETRY_AFTER_METADATA_KEY
from voxloop_proto.errors import ContractError, UnavailableError, VoxloopError, from_failure, row_of
from voxloop_proto.events import EncodedEvent, SegmentEnded, SegmentStarted
from voxloop_proto.telemetry import StageClock
from voxloop_proto.v1 import voxloop_pb2 as pb

_RACE_DETAILS = "Internal error from Core"
"""What grpc.aio says instead of the true status when a message is written just as the call ends."""
_RETRY_AFTER = re.compile("[0-9]{1,9}")

Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.RecognizeRequest, pb.RecognizeResponse]"


@dataclass(slots=True)
class UplinkCount:
    """What went over the wire, resent messages included."""

    sent_bytes: int = 0
    audio_bytes: int = 0
    connections: int = 0


class Client:
    """One session over as many connections as it takes.

    Every segment is kept until its transcript has come; after a break the session resumes and what is unanswered is
    sent again. The server knows (session, segment), so no transcript is given twice; a second one is ignored here.

    Use as `async with Client(...) as client`; leaving the block without `finish` abandons what is unanswered.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        hello: pb.Hello,
        config: ClientConfig,
        on_reply: Callable[[Reply], None],
        stage_clock: StageClock | None = None,
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        """on_broken: called once when the session is beyond repair; `send` and `finish` raise the reason."""
        self.uplink = UplinkCount()
        self._stub = open_stub(channel)
        self._hello = hello
        self._config = config
        self._on_reply = on_reply
        self._on_broken = on_broken
        self._stage_clock = stage_clock or StageClock()
        self._wire = WireWriter()
        self._outbox = Outbox(config.max_unanswered_bytes)
        self._changed = asyncio.Condition()
        self._closing = False
        self._error: Exception | None = None
        self._reconnection = Reconnection(config, config.server, time.monotonic())
        self._is_welcome = False
        self._heard_s = 0.0

    async def __aenter__(self) -> Self:
        self._link = asyncio.create_task(self._keep_linked(), name=f"session {self._hello.session_id}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.cancel()
        await asyncio.gather(self._link, return_exceptions=True)

    async def send(self, event: EncodedEvent) -> None:
        """Takes one event of the pipeline; waits while the memory for unanswered segments is full.

        Raises UnavailableError when the server has been away for too long, and what the server refuses with.
        """
        may_wait = isinstance(event, SegmentStarted)
        await self._wait_until(lambda: not (may_wait and self._outbox.is_full))
        timings = self._stage_clock.take() if isinstance(event, SegmentEnded) else ()
        self._outbox.add(self._wire.write(event, timings))
        await self._notify()

    async def finish(self) -> None:
        """Waits for the answers to all segments, then ends the session cleanly."""
        await self._wait_until(lambda: not self._outbox)
        self._closing = True
        await self._notify()

    async def _keep_linked(self) -> None:
        """Holds the session's connection until it is finished."""
        try:
            while not (self._closing and not self._outbox):
                await self._connect_once()
        except Exception as error:  # noqa: BLE001 (the task's boundary: the caller gets it from send or finish)
            self._error = error
            self._on_broken()
            await self._notify()

    async def _connect_once(self) -> None:
        try:
            await self._converse()
        except (ExceptionGroup, UnavailableError) as broken:
            error = _cause(broken, self._config, was_open=bool(self._hello.resume_token))
            if not row_of(error).retryable:
                raise error from None
            self._on_reply(LinkChanged(False, error.message))
            wait_ms = self._reconnection.broke(error, len(self._outbox), time.monotonic(), random.random())
            await asyncio.sleep(wait_ms / 1000.0)

    async def _converse(self) -> None:
        """One connection, from Hello to its end."""
        self._outbox.rewind()
        self._is_welcome = False
        if not self._hello.resume_token:  # no Welcome ever came, so nothing can have been answered: begin anew
            self._hello.session_id = uuid.uuid4().hex
        self.uplink.connections += 1
        call = self._stub.Recognize()
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(call))
                watch = group.create_task(self._watch_deadline())
                await self._read(call)
                writer.cancel()
                watch.cancel()
        finally:
            call.cancel()
        if self._outbox or not self._closing:
            raise UnavailableError("the server ended the session early")

    async def _write(self, call: Call) -> None:
        try:
            await self._write_all(call)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the call is over; why, is said to the one who reads

    async def _write_all(self, call: Call) -> None:
        await self._put(call, pb.RecognizeRequest(hello=self._hello))
        async with self._changed:  # a refusal of Hello must not race with what comes after it
            await self._changed.wait_for(lambda: self._is_welcome)
        while True:
            message = self._outbox.next_message()
            if message is not None:
                await self._put(call, message)
            elif self._closing:
                await call.done_writing()
                return
            else:
                async with self._changed:
                    await self._changed.wait_for(self._has_work)

    def _has_work(self) -> bool:
        return self._closing or self._outbox.has_unwritten

    async def _put(
        self,
        call: Call,
        message: pb.RecognizeRequest,
    ) -> None:
        self.uplink.sent_bytes += message.ByteSize()
        self.uplink.audio_bytes += len(message.audio.payload)
        if message.HasField("segment_end"):
            self._outbox.end_written(message.segment_end.segment_id, time.monotonic())
        await call.write(message)
        if message.HasField("segment_end"):
            await self._notify()

    async def _read(self, call: Call) -> None:
        async for response in call:
            self._heard_s = time.monotonic()
            self._take(response)
            await self._notify()

    def _take(self, response: pb.RecognizeResponse) -> None:
        match response.WhichOneof("payload"):
            case "welcome":
                self._check_hotwords(response.welcome)
                self._hello.resume_token = response.welcome.resume_token
                self._is_welcome = True
                self._reconnection.opened(time.monotonic())
                self._on_reply(LinkChanged(True))
            case "hypothesis":
                found = response.hypothesis
                self._on_reply(HypothesisArrived(found.segment_id, found.text, found.stable_characters))
            case "transcript":
                self._settle(response.transcript)
            case "failure":
                self._fail(response.failure)
            case _:
                pass  # Ack and Throttle ask nothing of a client that keeps all until the transcript

    def _check_hotwords(self, welcome: pb.Welcome) -> None:
        """Says so if the server takes no notice of them; raises ContractError if nothing else may be said."""
        if not self._hello.hotwords or welcome.hotwords:
            return
        if self._hello.hotwords_only:
            raise ContractError(
                "this server cannot limit its text to hotwords; update it, or leave hotwords_only (--only-hotwords) out"
            )
        if not self._hello.resume_token:
            self._on_reply(HotwordsIgnored())

    def _settle(self, transcript: pb.Transcript) -> None:
        pending = self._outbox.settle(transcript.segment_id)
        if pending is None or pending.end is None:
            return
        self._reconnection.answered()
        sent_s = pending.end_first_written_s or time.monotonic()
        latency_ms = (time.monotonic() - sent_s) * 1000.0
        hang_over_ms = samples_to_ms(pending.end.end_sample - pending.end.last_voiced_sample)
        start_sample = pending.messages[0].segment_start.start_sample
        user_latency_ms = latency_ms + hang_over_ms
        self._on_reply(TranscriptArrived(transcript, start_sample, pending.end, latency_ms, user_latency_ms))

    def _fail(self, failure: pb.Failure) -> None:
        error = from_failure(failure)
        if failure.segment_id == 0 or failure.retryable:
            raise error
        if self._outbox.settle(failure.segment_id) is not None:
            self._reconnection.answered()
            self._on_reply(SegmentFailed(failure.segment_id, error))

    async def _watch_deadline(self) -> None:
        """Ends the connection when the server owes a transcript and says nothing at all for too long."""
        timeout_s = self._config.transcript_timeout_ms / 1000.0
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._outbox.oldest_end_s() is not None)
            while (oldest_s := self._outbox.oldest_end_s()) is not None:
                left_s = max(oldest_s, self._heard_s) + timeout_s - time.monotonic()
                if left_s <= 0:
                    raise UnavailableError(f"a transcript is due and the server was silent for {timeout_s:.1f} s")
                await asyncio.sleep(left_s)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._error is not None or condition())
        if self._error is not None:
            raise self._error

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _cause(broken: BaseException, config: ClientConfig, was_open: bool) -> VoxloopError:
    """The first error of ours, or of gRPC, that broke a connection; anything else is a bug and is raised."""
    while isinstance(broken, BaseExceptionGroup):
        broken = broken.exceptions[0]
    if isinstance(broken, grpc.aio.AioRpcError):
        if broken.code() is grpc.StatusCode.INTERNAL and broken.details() == _RACE_DETAILS:
            return UnavailableError("the connection broke while something was being sent")
        error = to_error(broken, config, was_open)
        error.retry_after_ms = _retry_after_ms(broken)
        return error
    if isinstance(broken, VoxloopError):
        return broken
    raise broken


def _retry_after_ms(error: grpc.aio.AioRpcError) -> int:
    for key, value in error.trailing_metadata() or ():
        if key == RETRY_AFTER_METADATA_KEY and _RETRY_AFTER.fullmatch(str(value)):
            return int(value)
    return 0
