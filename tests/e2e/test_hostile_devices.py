"""Devices that mean harm, or are lost: the server stays small and alive, and the others notice nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import grpc
import grpc.aio
import psutil
import pytest
from tests.e2e.conftest import ServerProcess
from tests.e2e.faulty_proxy import FaultyProxy
from tests.e2e.sessions import client_config, hold_session, samples_made, speech_events

from voxloop_cloud.testing import babble
from voxloop_edge.channel import open_stub
from voxloop_proto.audio import to_pcm16
from voxloop_proto.contract import RETRY_AFTER_METADATA_KEY, SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb

MIB = 1 << 20
MOST_SESSIONS = 300
CONNECTS = 1_000
Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.RecognizeRequest, pb.RecognizeResponse]"
RECOGNIZE = "/voxloop.v1.SpeechService/Recognize"
NARROW = [("grpc.http2.lookahead_bytes", 1), ("grpc.http2.bdp_probe", 0)]
"""Channel options of a device that takes no more than it reads."""


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[ServerProcess]:
    """One server for all that is done to it here."""
    process = ServerProcess(
        tiny,
        max_sessions=MOST_SESSIONS,
        unread_timeout_ms=1_000,
        keepalive_ms=1_000,
        keepalive_timeout_ms=1_000,
        limits__max_segment_ms=600_000,
    )
    process.start()
    yield process
    process.kill()


def hello(name: str = "hostile", **changes: object) -> pb.RecognizeRequest:
    audio_format = pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=16_000)
    fields: dict[str, object] = {"schema_version": SCHEMA_VERSION, "device_id": name, "session_id": uuid.uuid4().hex}
    return pb.RecognizeRequest(hello=pb.Hello(**(fields | {"audio_format": audio_format} | changes)))  # type: ignore[arg-type] # the names are the message's own


def start(segment_id: int = 1, start_sample: int = 0, level: float = 0.0) -> pb.RecognizeRequest:
    segment = pb.SegmentStart(segment_id=segment_id, start_sample=start_sample, raw_level_dbfs=level)
    return pb.RecognizeRequest(segment_start=segment)


def audio(segment_id: int = 1, sequence: int = 0, payload: bytes = bytes(3200)) -> pb.RecognizeRequest:
    return pb.RecognizeRequest(audio=pb.Audio(segment_id=segment_id, sequence=sequence, payload=payload))


def end(segment_id: int = 1, sent_samples: int = 1600) -> pb.RecognizeRequest:
    return pb.RecognizeRequest(segment_end=pb.SegmentEnd(segment_id=segment_id, sent_samples=sent_samples))


@asynccontextmanager
async def open_sessions(address: str) -> AsyncIterator[Callable[[], "asyncio.Future[int]"]]:
    """Asks how many sessions are open."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = open_stub(channel)

        async def ask() -> int:
            info: pb.GetServerInfoResponse = await stub.GetServerInfo(pb.GetServerInfoRequest())
            return info.open_sessions

        yield lambda: asyncio.ensure_future(ask())


async def until_none_is_open(address: str, most_s: float = 15.0) -> None:
    async with asyncio.timeout(most_s), open_sessions(address) as count:
        while await count():
            await asyncio.sleep(0.1)


def check_healthy(server: ServerProcess) -> None:
    """A well-behaved device is served, and none of the others is open any more."""
    asyncio.run(until_none_is_open(server.address))
    heard = asyncio.run(hold_session(client_config(server.address), speech_events()))
    assert heard.samples == samples_made(speech_events())


def resident_bytes(server: ServerProcess) -> int:
    return int(psutil.Process(server.process_id).memory_info().rss)


async def first_answers(address: str, requests: list[bytes]) -> tuple[list[pb.RecognizeResponse], grpc.StatusCode, str]:
    """All that comes back for raw messages, and how the call ends."""
    answers: list[pb.RecognizeResponse] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(RECOGNIZE, lambda raw: raw, pb.RecognizeResponse.FromString)(iter(requests))
        try:
            async with asyncio.timeout(20):
                async for answer in call:
                    answers.append(answer)  # noqa: PERF401 (what came before an error counts)
        except grpc.aio.AioRpcError as error:
            return answers, error.code(), error.details() or ""
    return answers, grpc.StatusCode.OK, ""


ENDED = [
    ([bytes(300_000)], grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ([b"\xff\xfe garbage"], grpc.StatusCode.INTERNAL, ""),
    ([start()], grpc.StatusCode.INVALID_ARGUMENT, "SegmentStart came while"),
    ([hello(), hello()], grpc.StatusCode.INVALID_ARGUMENT, "Hello came while"),
    ([hello(hotwords=["word"] * 5_000)], grpc.StatusCode.INVALID_ARGUMENT, "5000 hotwords"),
    ([hello(locale="x" * 100_000)], grpc.StatusCode.INVALID_ARGUMENT, "characters"),
    ([hello(schema_version=(1 << 32) - 1)], grpc.StatusCode.INVALID_ARGUMENT, "update the server first"),
    (
        [hello(), start(start_sample=(1 << 63) - 1)],
        grpc.StatusCode.INVALID_ARGUMENT,
        "start_sample 9223372036854775807",
    ),
    ([pb.RecognizeRequest()], grpc.StatusCode.INVALID_ARGUMENT, "empty request"),
]
FAILED = [
    [start(), audio(payload=bytes(70_000)), end()],
    [start(), audio(sequence=(1 << 32) - 1), end()],
    [start(), audio(), end(sent_samples=-(1 << 63))],
    [start(), audio(segment_id=(1 << 64) - 1), end()],
]


@pytest.mark.parametrize(("requests", "status", "said"), ENDED)
def test_a_hostile_stream_ends_with_a_status_that_says_why(
    server: ServerProcess, requests: list[pb.RecognizeRequest | bytes], status: grpc.StatusCode, said: str
) -> None:
    raw = [request if isinstance(request, bytes) else request.SerializeToString() for request in requests]
    _, code, details = asyncio.run(first_answers(server.address, raw))
    assert code is status
    assert said in details


@pytest.mark.parametrize("messages", FAILED)
def test_a_hostile_segment_fails_and_the_next_one_is_heard(
    server: ServerProcess, messages: list[pb.RecognizeRequest]
) -> None:
    good = [start(2), audio(2), end(2)]
    requests = [hello(), *messages, *good]
    answers, _, _ = asyncio.run(first_answers(server.address, [each.SerializeToString() for each in requests]))
    last = [answer.WhichOneof("payload") for answer in answers if answer.WhichOneof("payload") != "ack"]
    assert last == ["welcome", "failure", "transcript"]
    check_healthy(server)


def test_levels_that_are_no_numbers_change_nothing(server: ServerProcess) -> None:
    requests = [hello(), start(level=float("nan")), audio(), end()]
    answers, _, _ = asyncio.run(first_answers(server.address, [each.SerializeToString() for each in requests]))
    assert [answer.WhichOneof("payload") for answer in answers] == ["welcome", "ack", "transcript"]


def test_a_device_that_reads_nothing_is_bounded_and_closed(server: ServerProcess) -> None:
    before_bytes = resident_bytes(server)

    async def never_read() -> None:
        async with grpc.aio.insecure_channel(server.address, options=NARROW) as channel:
            call = open_stub(channel).Recognize()
            await call.write(hello(interim_results=True))
            writing = asyncio.create_task(write_on(call))
            await asyncio.sleep(0.5)
            await until_none_is_open(server.address)
            assert not writing.done(), "the server took ten minutes of sound from a device that reads nothing"
            writing.cancel()

    asyncio.run(never_read())
    assert resident_bytes(server) < before_bytes + 32 * MIB
    check_healthy(server)


async def write_on(call: Call) -> None:
    """Speaks for ten minutes without a pause, as fast as the server takes it."""
    payload = to_pcm16(babble(5_000))
    await call.write(start())
    for sequence in range(6_000):
        at = sequence * 3_200 % len(payload)
        await call.write(audio(sequence=sequence, payload=payload[at : at + 3_200]))


def test_sessions_of_a_dead_line_are_freed(server: ServerProcess) -> None:
    """The line is half-open: nothing is closed, and nothing comes through."""

    async def go_dead() -> None:
        async with FaultyProxy(server.address) as proxy, grpc.aio.insecure_channel(proxy.address) as channel:
            stub = open_stub(channel)
            calls = [stub.Recognize() for _ in range(20)]
            for number, call in enumerate(calls):
                await call.write(hello(f"dead-{number}"))
                answer = await call.read()
                assert isinstance(answer, pb.RecognizeResponse)
                assert answer.HasField("welcome")
            async with open_sessions(server.address) as count:
                assert await count() == len(calls)
                proxy.stall()
                await until_none_is_open(server.address)

    asyncio.run(go_dead())
    check_healthy(server)


def test_a_thousand_connects_at_once_are_each_answered_or_refused_with_a_reason(server: ServerProcess) -> None:
    events = speech_events()

    async def storm() -> tuple[list[str], bool]:
        old = asyncio.create_task(hold_session(client_config(server.address), events, "old", pace_s=0.02))
        await asyncio.sleep(0.2)
        outcomes = await asyncio.gather(*(connect(number) for number in range(CONNECTS)))
        return outcomes, (await old).samples == samples_made(events)

    async def connect(number: int) -> str:
        options = [("grpc.use_local_subchannel_pool", 1)]  # a TCP connection of its own
        async with grpc.aio.insecure_channel(server.address, options=options) as channel:
            call = open_stub(channel).Recognize()
            try:
                await call.write(hello(f"storm-{number}"))
                answer = await call.read()
                await asyncio.sleep(1.0)
            except grpc.aio.AioRpcError as error:
                after = dict(error.trailing_metadata() or ()).get(RETRY_AFTER_METADATA_KEY)
                return f"{error.code().name}, retry after {after}"
            assert isinstance(answer, pb.RecognizeResponse)
            return str(answer.WhichOneof("payload"))

    outcomes, old_is_whole = asyncio.run(storm())
    assert old_is_whole
    assert outcomes.count("welcome") >= MOST_SESSIONS // 2
    assert set(outcomes) <= {"welcome", "RESOURCE_EXHAUSTED, retry after 1000", "RESOURCE_EXHAUSTED, retry after None"}
    check_healthy(server)
