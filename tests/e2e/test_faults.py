"""Faults caused on purpose, counted against the ground truth: no sample lost, no transcript twice, no session harmed.

Each takes seconds; scripts/soak does the same for an hour. VOXLOOP_FAULT_ROUNDS=5 makes twenty kills of four.
"""

import asyncio
import os
import signal
from collections import Counter

import pytest
from tests.e2e.conftest import ServerProcess
from tests.e2e.faulty_proxy import Faults, FaultyProxy
from tests.e2e.sessions import Heard, client_config, hold_session, samples_made, segments_of, speech_events

from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_proto.errors import UnavailableError, VoxloopError
from voxloop_proto.events import EncodedEvent

ROUNDS = int(os.environ.get("VOXLOOP_FAULT_ROUNDS", "1"))
PHASES = ("before its start", "amid its audio", "after its end", "after its transcript")
DEVICES = 5
CUTS = 20
"""Of each device's line: a hundred in all."""


def undisturbed(server: ServerProcess, events: tuple[EncodedEvent, ...]) -> list[tuple[int, str]]:
    return asyncio.run(hold_session(client_config(server.address), events)).transcripts


def assert_nothing_lost(heard: Heard, events: tuple[EncodedEvent, ...], expected: list[tuple[int, str]]) -> None:
    """Each segment's transcript came exactly once, covers each of its samples, and says what it says undisturbed."""
    assert not heard.failures
    assert heard.samples == samples_made(events)
    assert sorted(heard.transcripts) == expected
    assert len(expected) == len(segments_of(events))


def test_a_server_killed_in_any_phase_of_a_segment_loses_no_sample_and_repeats_nothing(server: ServerProcess) -> None:
    """One session through all kills. In the third phase the server is stopped, so that it cannot answer in time."""
    events = speech_events(segments=len(PHASES) * ROUNDS, duration_ms=400.0)
    expected = undisturbed(server, events)

    async def run_killed() -> Heard:
        heard, config = Heard(), client_config(server.address)
        async with (
            open_channel(config) as channel,
            Client(channel, make_hello(DeviceConfig()), config, heard.replies.append) as client,
        ):
            for number, segment in enumerate(segments_of(events)):
                await say_and_kill(client, heard, segment, PHASES[number % len(PHASES)])
            await client.finish()
            heard.connections = client.uplink.connections
        return heard

    async def say_and_kill(client: Client, heard: Heard, segment: list[EncodedEvent], phase: str) -> None:
        cut = {"before its start": 0, "amid its audio": len(segment) // 2}.get(phase, len(segment))
        if phase == "after its end":
            server.send_signal(signal.SIGSTOP)
        for event in segment[:cut]:
            await client.send(event)
        if phase == "after its transcript":
            await until_answered(heard, segment[0].segment_id)
        await asyncio.sleep(0.1)  # on its way to the server, if it is up
        await asyncio.to_thread(server.kill)
        for event in segment[cut:]:
            await client.send(event)
        await asyncio.to_thread(server.start)

    heard = asyncio.run(run_killed())
    assert heard.connections > len(PHASES) * ROUNDS
    assert_nothing_lost(heard, events, expected)


async def until_answered(heard: Heard, segment_id: int) -> None:
    async with asyncio.timeout(30):
        while segment_id not in dict(heard.transcripts):
            await asyncio.sleep(0.02)


def test_a_hundred_scripted_disconnects_lose_no_sample_and_give_no_transcript_twice(server: ServerProcess) -> None:
    events = speech_events(segments=6, duration_ms=400.0)
    expected = undisturbed(server, events)
    faults = Faults(cut_after_bytes=30_000, most_cuts=CUTS, delay_ms=2.0)

    async def run_cut() -> list[tuple[Heard, int]]:
        return await asyncio.gather(*(one_device(number) for number in range(DEVICES)))

    async def one_device(number: int) -> tuple[Heard, int]:
        async with FaultyProxy(server.address, faults, seed=number) as proxy:
            config = client_config(proxy.address, outage_timeout_ms=60_000)
            heard = await hold_session(config, events, f"device-{number}")
            while proxy.cuts < CUTS:  # the rest hit sessions that come after
                again = await hold_session(config, events, f"device-{number}")
                assert_nothing_lost(again, events, expected)
            return heard, proxy.cuts

    outcome = asyncio.run(run_cut())
    assert sum(cuts for _, cuts in outcome) == DEVICES * CUTS == 100
    for heard, _ in outcome:
        assert_nothing_lost(heard, events, expected)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(truncated_ratio=0.1),
        Faults(duplicated_ratio=0.1),
        Faults(reordered_ratio=0.1),
        Faults(flipped_ratio=0.1),
    ],
    ids=["truncated", "duplicated", "reordered", "flipped"],
)
def test_a_line_that_spoils_bytes_harms_no_other_session(server: ServerProcess, faults: Faults) -> None:
    """In plaintext a spoilt byte may be any message; so the device may be refused, but never hears a segment twice."""
    events = speech_events()

    async def run_spoilt() -> tuple[Heard, int]:
        async with FaultyProxy(server.address, faults, seed=7) as proxy:
            config = client_config(
                proxy.address, outage_timeout_ms=2_000, connect_timeout_ms=2_000, transcript_timeout_ms=1_000
            )
            heard, (spoilt,) = await asyncio.gather(
                hold_session(client_config(server.address), events, "healthy"),
                asyncio.gather(hold_session(config, events, "spoilt"), return_exceptions=True),
            )
        if isinstance(spoilt, BaseException):
            assert isinstance(spoilt, VoxloopError | TimeoutError), spoilt
        else:
            assert max(Counter(segment_id for segment_id, _ in spoilt.transcripts).values(), default=1) == 1
        return heard, proxy.faulty_blocks

    heard, faulty_blocks = asyncio.run(run_spoilt())
    assert faulty_blocks > 0
    assert_nothing_lost(heard, events, undisturbed(server, events))
    assert server.is_running


def test_a_server_that_is_told_to_stop_finishes_what_is_said_and_refuses_what_is_new(server: ServerProcess) -> None:
    """New sessions get an error that devices try again after; the exit code is 0."""
    events = speech_events()

    async def run_drained() -> tuple[Heard, BaseException, int]:
        heard, config = Heard(), client_config(server.address)
        async with (
            open_channel(config) as channel,
            Client(channel, make_hello(DeviceConfig()), config, heard.replies.append) as client,
        ):
            for event in events[:3]:
                await client.send(event)
            while not heard.replies:
                await asyncio.sleep(0.02)
            stopping = asyncio.create_task(asyncio.to_thread(server.terminate))
            await asyncio.sleep(0.5)
            impatient = client_config(server.address, connect_timeout_ms=200)
            (refused,) = await asyncio.gather(hold_session(impatient, events, "late"), return_exceptions=True)
            for event in events[3:]:
                await client.send(event)
            await client.finish()
        assert isinstance(refused, BaseException), "a session was opened while the server was stopping"
        return heard, refused, await stopping

    heard, refused, code = asyncio.run(run_drained())
    assert code == 0
    assert isinstance(refused, UnavailableError)
    assert heard.samples == samples_made(events)
