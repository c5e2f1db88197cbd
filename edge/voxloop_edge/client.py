"""The device's end of a session: sends segments, takes answers, and comes back after a break."""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import grpc.aio

from voxloop_edge.answers import Answers
from voxloop_edge.break_cause import cause_of
from voxloop_edge.channel import open_channel
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.connection import Connection
from voxloop_edge.heartbeat import Heartbeats, Vitals
from voxloop_edge.hello import are_hotwords_ignored
from voxloop_edge.line import Line
from voxloop_edge.outbox import Outbox
from voxloop_edge.reconnection import Reconnection
from voxloop_edge.replies import HotwordsIgnored, LinkChanged, Reply, SegmentsLeft
from voxloop_edge.safekeeping import Safekeeping, no_safekeeping
from voxloop_edge.segmenter import UNLIMITED_MS
from voxloop_edge.uplink import Uplink
from voxloop_edge.wire import WireWriter
from voxloop_proto.errors import DataError, OverloadError, UnavailableError, row_of
from voxloop_proto.events import EncodedEvent, SegmentEnded, SegmentStarted
from voxloop_proto.telemetry import StageClock
from voxloop_proto.v1 import voxloop_pb2 as pb


class Client:
    """One session over as many connections as it takes.

    Every segment is kept until its transcript has come; after a break the session resumes and what is unanswered is
    sent again. The server knows (session, segment), so no transcript is given twice; a second one is ignored here.

    With a spool, a segment is on disk when `send` has taken its end; a server that is away is waited for without end,
    and what `finish` leaves unanswered is sent by the next run.

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
        keeping: Safekeeping | None = None,
        vitals: Vitals | None = None,
        session: str = "",
        before_fetch: Callable[[], Awaitable[None]] | None = None,
        open_fresh: Callable[[ClientConfig], grpc.aio.Channel] = open_channel,
    ) -> None:
        """on_broken: called once when the session is beyond repair; `send` and `finish` raise the reason.

        keeping: the spool and journal, if segments are to outlive this process. session: of an earlier run, to be
        finished; its name in the spool. before_fetch: awaited before each segment that is fetched from disk.

        open_fresh: opens a channel of this session alone after it was refused for overload: `channel` leads to one
        worker of a server, and another may have room.
        """
        self._line = Line(channel, config, open_fresh)
        self._hello = hello
        self._config = config
        self._on_reply = on_reply
        self._on_broken = on_broken
        self._stage_clock = stage_clock or StageClock()
        self._wire = WireWriter()
        self._keeping = keeping or no_safekeeping()
        self.session = session or hello.session_id
        self._outbox = Outbox(config.max_unanswered_bytes)
        self.uplink = Uplink(self._outbox, time.monotonic())
        self._is_live = not session
        for left in self._keeping.segments(session) if session else ():
            self._outbox.add_parked(left)
        self._keeping.own(self.session, self._outbox.leave_disk)
        self._error: Exception | None = None
        self._reconnection = Reconnection(
            config, config.server, time.monotonic(), gives_up=session != "" or not self._keeping.has_spool
        )
        self._answers = Answers(self.session, self._outbox, self._keeping, self._reconnection, on_reply)
        self._heartbeats = Heartbeats(config.heartbeat_ms, vitals or Vitals(), self._outbox, self._keeping)
        self._connection: Connection | None = None
        self._before_fetch = before_fetch
        self.most_ms = UNLIMITED_MS  # the longest segment that the server takes, as it last said

    async def __aenter__(self) -> Self:
        self._link = asyncio.create_task(self._keep_linked(), name=f"session {self._hello.session_id}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.cancel()
        await asyncio.gather(self._link, return_exceptions=True)
        await self._line.close()
        await self._keeping.close_session(self.session)

    async def idle(self) -> None:
        """Waits until the server is there and all that was sent is answered. Raises as `send` does."""
        await self._wait_until(lambda: self._is_linked and not self._outbox)

    async def send(self, event: EncodedEvent) -> None:
        """Takes one event of the pipeline; without a spool, waits while the memory for unanswered segments is full.

        Raises UnavailableError when the server has been away for too long, and what the server refuses with.
        """
        may_wait = isinstance(event, SegmentStarted) and not self._keeping.has_spool
        await self._wait_until(lambda: not (may_wait and self._outbox.is_full))
        timings = self._stage_clock.take() if isinstance(event, SegmentEnded) else ()
        self._outbox.add(self._wire.write(event, timings))
        if isinstance(event, SegmentEnded):
            self._outbox.end_taken(event.segment_id, time.monotonic(), event.held_samples)
        await self.uplink.notify()
        if isinstance(event, SegmentEnded) and self._keeping.has_spool:
            await self._keep()

    async def finish(self) -> None:
        """Waits for the answers to all segments, then ends the session cleanly.

        With a spool, a server that is away is waited for no longer than finish_timeout_ms, and what is left is told;
        for what is in memory alone, as the disk would not take it, outage_timeout_ms.
        """
        if not (self._is_live and self._keeping.has_spool):
            await self._wait_until(lambda: not self._outbox)
        else:
            await self._finish_or_leave()
        self.uplink.is_closing = True
        await self.uplink.notify()

    async def _finish_or_leave(self) -> None:
        await self._keep()
        began_s = time.monotonic()
        while self._outbox:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.finish_timeout_ms / 1000.0):
                    await self._wait_until(lambda: not self._outbox)
            if self._is_linked or not self._outbox:
                continue
            if (time.monotonic() - began_s) * 1000.0 > self._config.outage_timeout_ms:
                await self._give_up_unsafe()
            if not self._outbox.unsafe():
                if self._outbox:
                    self._on_reply(SegmentsLeft(len(self._outbox)))
                return

    async def _give_up_unsafe(self) -> None:
        """What is in memory alone ends with this process."""
        for pending in self._outbox.unsafe():
            self._outbox.settle(pending.segment_id)
            await self._keeping.lose(self.session, pending, "the server is away, and the spool takes no more")

    @property
    def _is_linked(self) -> bool:
        return self.uplink.away_since_s is None

    async def _keep(self) -> None:
        """Puts on disk what has ended and is not there, then lets go of what memory has no room for."""
        for pending in self._outbox.to_keep():
            messages = list(pending.messages)
            if not await self._keeping.keep(self.session, messages, self._hello):
                break
            if self._outbox.pending(pending.segment_id) is None:  # answered meanwhile
                await self._keeping.forget(self.session, pending.segment_id)
            pending.is_durable = True
        self._outbox.park()
        while dropped := self._outbox.drop(self._keeping.when_full):
            await self._keeping.lose(self.session, dropped, "memory is full, and the spool takes no more")

    async def _keep_linked(self) -> None:
        """Holds the session's connection until it is finished."""
        try:
            while not (self.uplink.is_closing and not self._outbox):
                await self._connect_once()
        except Exception as error:  # noqa: BLE001 (the task's boundary: the caller gets it from send or finish)
            self._error = error
            self._on_broken()
            await self.uplink.notify()

    async def _connect_once(self) -> None:
        try:
            await self._converse()
        except (ExceptionGroup, UnavailableError) as broken:
            error = cause_of(broken, self._config, was_open=bool(self._hello.resume_token))
            if not row_of(error).retryable:
                raise error from None
            self._on_reply(LinkChanged(False, error.message))
            wait_ms = self._reconnection.broke(error, len(self._outbox), time.monotonic(), random.random())
            if isinstance(error, OverloadError):
                await self._line.renew()
            await asyncio.sleep(wait_ms / 1000.0)
        finally:
            self._connection = None
            if self._is_linked:
                self.uplink.away_since_s = time.monotonic()
                await self.uplink.notify()

    async def _converse(self) -> None:
        if not self._hello.resume_token:  # no Welcome ever came, so nothing can have been answered: begin anew
            self._hello.session_id = uuid.uuid4().hex
        self._connection = Connection(
            self.uplink, self._heartbeats, self._hear, self._fetch, self._config.transcript_timeout_ms
        )
        await self._connection.converse(self._line.stub.Recognize(), self._hello)
        if self._outbox or not self.uplink.is_closing:
            raise UnavailableError("the server ended the session early")

    async def _hear(self, response: pb.RecognizeResponse) -> None:
        if response.HasField("welcome"):
            await self._welcome(response.welcome)
        else:
            await self._answers.take(response)

    async def _welcome(self, welcome: pb.Welcome) -> None:
        if are_hotwords_ignored(self._hello, welcome) and not self._hello.resume_token:
            self._on_reply(HotwordsIgnored())
        if welcome.resume_token != self._hello.resume_token:
            self._hello.resume_token = welcome.resume_token
            # before any segment can be answered under it
            await self._keeping.keep_known_hello(self.session, self._hello)
        self.most_ms = welcome.limits.max_segment_ms or UNLIMITED_MS
        self._reconnection.opened(time.monotonic())
        if self._connection is not None:
            self._connection.is_welcome = True
        self.uplink.away_since_s = None
        self._on_reply(LinkChanged(True))

    async def _fetch(self, segment_id: int) -> None:
        """Brings a segment back from disk; one that is damaged is lost, and told."""
        if self._before_fetch is not None:
            await self._before_fetch()
        try:
            messages = await self._keeping.load(self.session, segment_id)
        except DataError as error:
            if (pending := self._outbox.settle(segment_id)) is not None:
                await self._keeping.lose(self.session, pending, error.message)
        else:
            self._outbox.unpark(segment_id, messages)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        await self.uplink.wait_until(lambda: self._error is not None or condition())
        if self._error is not None:
            raise self._error
