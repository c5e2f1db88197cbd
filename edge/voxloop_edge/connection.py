"""One connection of a session, from Hello to its end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import grpc.aio

from voxloop_edge.heartbeat import Heartbeats
from voxloop_edge.outbox import Outbox
from voxloop_edge.uplink import Uplink
from voxloop_proto.errors import UnavailableError
from voxloop_proto.v1 import voxloop_pb2 as pb

Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.RecognizeRequest, pb.RecognizeResponse]"


class Connection:
    """Carries what is unanswered, from its start, and hears what is answered.

    hear: takes a response; after the Welcome it has set `is_welcome`.
    fetch: brings a segment, that is on disk alone, back into the outbox.
    """

    def __init__(
        self,
        uplink: Uplink,
        heartbeats: Heartbeats,
        hear: Callable[[pb.RecognizeResponse], Awaitable[None]],
        fetch: Callable[[int], Awaitable[None]],
        transcript_timeout_ms: int,
    ) -> None:
        self.is_welcome = False
        self._uplink = uplink
        self._outbox: Outbox = uplink.outbox
        self._heartbeats = heartbeats
        self._hear = hear
        self._fetch = fetch
        self._timeout_s = transcript_timeout_ms / 1000.0
        self._heard_s = 0.0

    async def converse(self, call: Call, hello: pb.Hello) -> None:
        """Returns when the server ends the call well; raises what broke it, as gRPC or a TaskGroup says it."""
        self._outbox.rewind()
        self._uplink.connections += 1
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(call, hello))
                watch = group.create_task(self._watch_deadline())
                await self._read(call)
                writer.cancel()
                watch.cancel()
        except ExceptionGroup:
            raise_cancellation()  # else one that came while the group ended would be lost, and with it the end
            raise
        finally:
            call.cancel()

    async def _read(self, call: Call) -> None:
        async for response in call:
            self._heard_s = time.monotonic()
            await self._hear(response)
            await self._uplink.notify()

    async def _write(self, call: Call, hello: pb.Hello) -> None:
        try:
            await self._write_all(call, hello)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the call is over; why, is said to the one who reads

    async def _write_all(self, call: Call, hello: pb.Hello) -> None:
        await self._put(call, pb.RecognizeRequest(hello=hello))
        await self._uplink.wait_until(lambda: self.is_welcome)  # a refusal of Hello must not race with what comes after
        while True:
            message = self._outbox.next_message()
            if message is not None:
                await self._put(call, message)
            elif (parked := self._outbox.next_parked()) is not None and self._outbox.has_room_to_fetch:
                await self._fetch(parked)
            elif self._heartbeats.wait_s() == 0.0:
                await self._put(call, self._heartbeats.next())
            elif self._uplink.is_closing and not self._outbox.has_unwritten:
                await call.done_writing()
                return
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._heartbeats.wait_s()):
                        await self._uplink.wait_until(self._has_work)

    def _has_work(self) -> bool:
        if self._outbox.next_parked() is not None:
            return self._outbox.has_room_to_fetch
        return self._outbox.has_unwritten or self._uplink.is_closing

    async def _put(self, call: Call, message: pb.RecognizeRequest) -> None:
        self._uplink.sent_bytes += message.ByteSize()
        self._uplink.audio_bytes += len(message.audio.payload)
        if message.HasField("segment_end"):
            self._outbox.end_written(message.segment_end.segment_id, time.monotonic())
        await call.write(message)
        if message.HasField("segment_end"):
            await self._uplink.notify()

    async def _watch_deadline(self) -> None:
        """Ends the connection when the server owes a transcript and says nothing at all for too long."""
        while True:
            await self._uplink.wait_until(lambda: self._outbox.oldest_end_s() is not None)
            while (oldest_s := self._outbox.oldest_end_s()) is not None:
                left_s = max(oldest_s, self._heard_s) + self._timeout_s - time.monotonic()
                if left_s <= 0:
                    raise UnavailableError(f"a transcript is due and the server was silent for {self._timeout_s:.1f} s")
                await asyncio.sleep(left_s)


def raise_cancellation() -> None:
    """Raises CancelledError if this task was told to end.

    To be asked where a TaskGroup has failed: until Python 3.13 a cancellation that comes while a group already ends
    its tasks is swallowed, and the group's own errors are all that is raised.
    """
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError
