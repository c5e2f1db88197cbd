"""Breaks caused on purpose: nothing is lost, and nothing is given twice."""

import asyncio
import socket

import numpy as np
import pytest
from tests.e2e.conftest import ServerProcess

from voxloop_cloud.testing import babble
from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.pipeline import build_pipeline
from voxloop_edge.replies import LinkChanged, Reply, TranscriptArrived
from voxloop_proto.errors import ContractError, UnavailableError
from voxloop_proto.events import Chunk, EncodedEvent
from voxloop_proto.stage import run


def speech_events() -> list[EncodedEvent]:
    """What a device says of three segments with silence between them."""
    pcm, gap = babble(1200), np.zeros(16_000, np.float32)
    sound = np.concatenate([gap, pcm, gap, pcm, gap, pcm, gap]).astype(np.float32)
    return list(run(build_pipeline(DeviceConfig()), [Chunk(0, sound)]))


def settings_for(server: ServerProcess, **changes: int) -> ClientConfig:
    return ClientConfig(server=server.address, insecure=True, first_backoff_ms=50, longest_backoff_ms=200, **changes)


async def _say(client: Client, events: list[EncodedEvent]) -> None:
    for event in events:
        await client.send(event)


async def _until_linked(replies: list[Reply]) -> None:
    """Waits for the Welcome: a server that is stopped before it takes no new session."""
    async with asyncio.timeout(20):
        while not any(isinstance(reply, LinkChanged) and reply.is_open for reply in replies):
            await asyncio.sleep(0.02)


def transcripts(replies: list[Reply]) -> list[tuple[int, str]]:
    return [(r.transcript.segment_id, r.transcript.text) for r in replies if isinstance(r, TranscriptArrived)]


def undisturbed(server: ServerProcess, events: list[EncodedEvent]) -> list[tuple[int, str]]:
    async def run_once() -> list[Reply]:
        replies: list[Reply] = []
        config = settings_for(server)
        async with (
            open_channel(config) as channel,
            Client(channel, make_hello(DeviceConfig()), config, replies.append) as client,
        ):
            await _say(client, events)
            await client.finish()
        return replies

    return transcripts(asyncio.run(run_once()))


@pytest.mark.parametrize("position", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_a_server_killed_and_started_again_loses_no_segment_and_repeats_none(
    server: ServerProcess, position: float
) -> None:
    events = speech_events()
    expected = undisturbed(server, events)
    assert [segment_id for segment_id, _ in expected] == [1, 2, 3]

    async def run_broken() -> list[Reply]:
        replies: list[Reply] = []
        config = settings_for(server)
        cut = round(position * len(events))
        async with (
            open_channel(config) as channel,
            Client(channel, make_hello(DeviceConfig()), config, replies.append) as client,
        ):
            await _say(client, events[:cut])
            await asyncio.to_thread(server.kill)
            await _say(client, events[cut:])
            await asyncio.to_thread(server.start)
            await client.finish()
            assert client.uplink.connections >= 2
        return replies

    assert transcripts(asyncio.run(run_broken())) == expected


def test_a_server_that_stops_politely_finishes_open_segments_first(server: ServerProcess) -> None:
    events = speech_events()

    async def run_drained() -> tuple[list[Reply], int]:
        replies: list[Reply] = []
        config = settings_for(server)
        async with (
            open_channel(config) as channel,
            Client(channel, make_hello(DeviceConfig()), config, replies.append) as client,
        ):
            await _say(client, events[:3])
            await _until_linked(replies)
            stopping = asyncio.create_task(asyncio.to_thread(server.terminate))
            await _say(client, events[3:])
            await client.finish()
            return replies, await stopping

    replies, code = asyncio.run(run_drained())
    assert code == 0
    assert [segment_id for segment_id, _ in transcripts(replies)] == [1, 2, 3]


def test_a_server_that_never_comes_back_is_an_error_and_not_a_hang(server: ServerProcess) -> None:
    async def run_abandoned() -> None:
        config = settings_for(server, outage_timeout_ms=300, connect_timeout_ms=300)
        async with (
            open_channel(config) as channel,
            Client(channel, make_hello(DeviceConfig()), config, lambda _: None) as client,
        ):
            events = speech_events()
            await _say(client, events[:3])
            await asyncio.to_thread(server.kill)
            await _say(client, events[3:])
            await client.finish()

    with pytest.raises(UnavailableError, match=r"no answer from 127\.0\.0\.1"):
        asyncio.run(run_abandoned())


def test_a_newer_device_is_told_so_at_once(server: ServerProcess) -> None:
    async def run_newer() -> None:
        hello = make_hello(DeviceConfig())
        hello.schema_version = 2000
        config = settings_for(server)
        async with (
            open_channel(config) as channel,
            Client(channel, hello, config, lambda _: None) as client,
        ):
            await _say(client, speech_events())
            await client.finish()

    with pytest.raises(ContractError, match="update the server first"):
        asyncio.run(run_newer())


def test_garbage_on_the_port_harms_nobody(server: ServerProcess) -> None:
    host, _, port = server.address.rpartition(":")
    random = np.random.default_rng(7)
    for garbage in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.bytes(5000),
        random.bytes(9000),
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(garbage)
    assert server.is_running
    assert len(undisturbed(server, speech_events())) == 3
