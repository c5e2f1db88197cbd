"""A session that is left ends at once, whatever its connection is doing."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.connection import Call, Connection
from voxloop_edge.heartbeat import Heartbeats, Vitals
from voxloop_edge.outbox import Outbox
from voxloop_edge.replies import Reply
from voxloop_edge.safekeeping import no_safekeeping
from voxloop_edge.uplink import Uplink
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.errors import UnavailableError
from voxloop_proto.v1 import voxloop_pb2 as pb

ENDS = 100
MOST_S = 60.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("seed", range(2))
def test_a_hundred_sessions_without_a_server_are_left_at_any_moment(seed: int) -> None:
    chance = random.Random(seed)
    config = ClientConfig(server=f"127.0.0.1:{free_port()}", insecure=True, first_backoff_ms=1, longest_backoff_ms=5)
    replies: list[Reply] = []

    async def leave_all() -> None:
        async with asyncio.timeout(MOST_S):
            for number in range(ENDS):
                hello = pb.Hello(schema_version=SCHEMA_VERSION, device_id="d", session_id=str(number))
                async with open_channel(config) as channel, Client(channel, hello, config, replies.append):
                    await asyncio.sleep(chance.random() * 0.03)
            while asyncio.all_tasks() != {asyncio.current_task()}:  # gRPC's own of the last call end a moment later
                await asyncio.sleep(0.01)

    asyncio.run(leave_all())
    assert replies, "no connection was tried: the test ends sessions before they begin"


class BreakingCall:
    """Breaks when told to; what writes on it takes a moment to end."""

    def __init__(self) -> None:
        self.breaks = asyncio.Event()
        self.is_ending = asyncio.Event()

    async def write(self, _: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.is_ending.set()
            await asyncio.sleep(0.01)

    def cancel(self) -> None:
        """Nothing is held."""

    async def __aiter__(self) -> AsyncIterator[pb.RecognizeResponse]:
        await self.breaks.wait()
        raise UnavailableError("broke")
        yield pb.RecognizeResponse()


async def never(_: Any) -> None:
    raise AssertionError("nothing comes, and nothing is fetched")


def test_a_cancellation_that_comes_while_a_connection_breaks_is_not_lost() -> None:
    """It was: asyncio.TaskGroup swallows one that comes while it waits for its tasks, and the session went on."""

    async def cancel_while_it_breaks() -> bool:
        outbox, call = Outbox(1 << 20), BreakingCall()
        heartbeats = Heartbeats(0, Vitals(), outbox, no_safekeeping())
        connection = Connection(Uplink(outbox), heartbeats, never, never, 1_000)
        conversing = asyncio.create_task(connection.converse(cast(Call, call), pb.Hello()))
        await asyncio.sleep(0)
        call.breaks.set()
        await call.is_ending.wait()
        conversing.cancel()
        await asyncio.wait([conversing], timeout=MOST_S)
        return conversing.cancelled()

    assert asyncio.run(cancel_while_it_breaks())
