"""The client against servers that say what they are told to: each odd peer in turn."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.replies import HotwordsIgnored, LinkChanged, Reply, TranscriptArrived
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.errors import ConfigError, ContractError, OverloadError, UnavailableError
from voxloop_proto.events import EncodedEvent, EndReason, SegmentEnded, SegmentMeasures, SegmentPayload, SegmentStarted
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1 import voxloop_pb2_grpc as pb_grpc

Requests = AsyncIterator[pb.RecognizeRequest]
Responses = AsyncIterator[pb.RecognizeResponse]
Script = Callable[[Requests, Any], Responses]
WELCOME = pb.RecognizeResponse(welcome=pb.Welcome(schema_version=SCHEMA_VERSION, resume_token="token"))


@dataclass
class ScriptedServer(pb_grpc.SpeechServiceServicer):
    """Plays one script per connection, the last one again and again; remembers each Hello."""

    scripts: list[Script]
    hellos: list[pb.Hello] = field(default_factory=list)

    async def Recognize(self, request_iterator: Any, context: Any) -> Responses:  # noqa: N802
        script = self.scripts[min(len(self.hellos), len(self.scripts) - 1)]
        requests = aiter(request_iterator)
        self.hellos.append((await anext(requests)).hello)
        async for response in script(requests, context):
            yield response

    async def Feedback(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def Erase(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    async def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError


@asynccontextmanager
async def client_of(
    server: ScriptedServer, replies: list[Reply], hello: pb.Hello | None = None, **settings: int
) -> AsyncIterator[Client]:
    """A session with a scripted server on a real port. hello: what it says beyond its names."""
    grpc_server = grpc.aio.server()
    pb_grpc.add_SpeechServiceServicer_to_server(server, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    quick = {"first_backoff_ms": 5, "longest_backoff_ms": 20} | settings
    config = ClientConfig(server=f"127.0.0.1:{port}", insecure=True, **quick)
    try:
        whole = pb.Hello(schema_version=SCHEMA_VERSION, device_id="d", session_id="s")
        whole.MergeFrom(hello or pb.Hello())
        async with open_channel(config) as channel, Client(channel, whole, config, replies.append) as client:
            yield client
    finally:
        await grpc_server.stop(0)


def events(*segment_ids: int) -> list[EncodedEvent]:
    out: list[EncodedEvent] = []
    measures = SegmentMeasures(-30.0, 0.0, 0.9, 20.0)
    for segment_id in segment_ids:
        out.append(SegmentStarted(segment_id, 0, 0, -60.0))
        out += [SegmentPayload(segment_id, bytes(3200), 1600, 0.0) for _ in range(3)]
        out.append(SegmentEnded(segment_id, 4800, 4000, EndReason.SILENCE, measures))
    return out


def transcript(segment_id: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(transcript=pb.Transcript(segment_id=segment_id, text=f"text {segment_id}"))


async def good(requests: Requests, context: Any) -> Responses:
    yield WELCOME
    async for request in requests:
        if request.HasField("segment_end"):
            yield transcript(request.segment_end.segment_id)


def talk(server: ScriptedServer, *segment_ids: int, hello: pb.Hello | None = None, **settings: int) -> list[Reply]:
    """What the client replies when it says the segments and finishes."""
    replies: list[Reply] = []

    async def run() -> None:
        async with asyncio.timeout(20), client_of(server, replies, hello, **settings) as client:
            for event in events(*segment_ids):
                await client.send(event)
            await client.finish()

    asyncio.run(run())
    return replies


def texts(replies: list[Reply]) -> list[str]:
    return [reply.transcript.text for reply in replies if isinstance(reply, TranscriptArrived)]


def test_every_segment_gets_its_transcript_with_its_latencies() -> None:
    replies = talk(ScriptedServer([good]), 1, 2, 3)
    assert texts(replies) == ["text 1", "text 2", "text 3"]
    for reply in replies:
        if isinstance(reply, TranscriptArrived):
            assert reply.user_latency_ms == pytest.approx(reply.latency_ms + 50)  # 800 samples of hang-over


def test_the_latency_of_a_segment_split_in_hindsight_counts_what_was_heard_since() -> None:
    started, *payloads, ended = events(1)
    assert isinstance(ended, SegmentEnded)
    replies: list[Reply] = []

    async def run() -> None:
        async with asyncio.timeout(20), client_of(ScriptedServer([good]), replies) as client:
            for event in (started, *payloads, replace(ended, held_samples=16_000)):
                await client.send(event)
            await client.finish()

    asyncio.run(run())
    (arrived,) = [reply for reply in replies if isinstance(reply, TranscriptArrived)]
    assert arrived.user_latency_ms == pytest.approx(arrived.latency_ms + 1050)


def test_a_refusal_for_load_is_tried_again_until_there_is_room() -> None:
    async def full(requests: Any, context: Any) -> Responses:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        yield WELCOME

    for _ in range(10):  # it was a race once: sound that was sent along hid the reason
        server = ScriptedServer([full, full, good])
        assert texts(talk(server, 1)) == ["text 1"]
        assert len(server.hellos) == 3


def test_a_refusal_for_load_that_lasts_is_told_as_one() -> None:
    async def full(requests: Any, context: Any) -> Responses:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "1000 sessions are open")
        yield WELCOME

    with pytest.raises(OverloadError, match="1000 sessions are open"):
        talk(ScriptedServer([full]), 1, connect_timeout_ms=150)


def test_a_break_before_the_welcome_begins_a_new_session() -> None:
    async def gone(requests: Any, context: Any) -> Responses:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        yield WELCOME

    server = ScriptedServer([gone, good])
    assert texts(talk(server, 1)) == ["text 1"]
    assert server.hellos[0].session_id != server.hellos[1].session_id


def test_a_break_after_the_welcome_resumes_the_session() -> None:
    async def gone(requests: Any, context: Any) -> Responses:
        yield WELCOME
        async for request in requests:
            if request.HasField("segment_end"):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    server = ScriptedServer([gone, good])
    replies = talk(server, 1, 2)
    assert texts(replies) == ["text 1", "text 2"]
    assert server.hellos[1].session_id == server.hellos[0].session_id
    assert server.hellos[1].resume_token == "token"
    assert [reply.is_open for reply in replies if isinstance(reply, LinkChanged)] == [True, False, True]


def test_a_second_transcript_of_a_segment_is_ignored() -> None:
    async def twice(requests: Requests, context: Any) -> Responses:
        yield WELCOME
        async for request in requests:
            if request.HasField("segment_end"):
                for _ in range(2):
                    yield transcript(request.segment_end.segment_id)

    assert texts(talk(ScriptedServer([twice]), 1, 2)) == ["text 1", "text 2"]


def test_a_server_that_fails_every_segment_is_given_up_and_not_hammered() -> None:
    async def poison(requests: Requests, context: Any) -> Responses:
        yield WELCOME
        async for request in requests:
            if request.HasField("segment_end"):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "poison")

    server = ScriptedServer([poison])
    with pytest.raises(UnavailableError, match="poison"):
        talk(server, 1, outage_timeout_ms=500)
    assert 3 < len(server.hellos) < 60


def test_a_server_that_ends_idle_sessions_is_not_hammered() -> None:
    async def ends(requests: Any, context: Any) -> Responses:
        yield WELCOME

    server = ScriptedServer([ends])

    async def run() -> None:
        async with client_of(server, [], first_backoff_ms=50, longest_backoff_ms=400):
            await asyncio.sleep(1.0)

    asyncio.run(run())
    assert len(server.hellos) < 12


def test_a_failure_of_the_session_is_raised_as_what_it_is() -> None:
    async def refuses(requests: Requests, context: Any) -> Responses:
        yield WELCOME
        async for request in requests:
            if request.HasField("segment_end"):
                yield pb.RecognizeResponse(failure=pb.Failure(code=pb.FAILURE_CODE_CONFIG, message="no such bundle"))

    with pytest.raises(ConfigError, match="no such bundle"):
        talk(ScriptedServer([refuses]), 1)


def test_a_slow_server_that_shows_life_is_waited_for() -> None:
    async def slow(requests: Requests, context: Any) -> Responses:
        yield WELCOME
        async for request in requests:
            if request.HasField("segment_end"):
                for _ in range(6):
                    yield pb.RecognizeResponse(ack=pb.Ack(segment_id=1))
                    await asyncio.sleep(0.1)
                yield transcript(1)

    server = ScriptedServer([slow])
    assert texts(talk(server, 1, transcript_timeout_ms=300)) == ["text 1"]
    assert len(server.hellos) == 1


def test_a_server_that_falls_silent_is_left_for_a_new_connection() -> None:
    async def silent(requests: Requests, context: Any) -> Responses:
        yield WELCOME
        async for _ in requests:
            pass
        await asyncio.sleep(60)

    server = ScriptedServer([silent, good])
    assert texts(talk(server, 1, transcript_timeout_ms=200)) == ["text 1"]
    assert len(server.hellos) == 2


def test_a_segment_that_fails_in_mid_flight_fails_alone() -> None:
    async def fails_first(requests: Requests, context: Any) -> Responses:
        yield WELCOME
        async for request in requests:
            if request.HasField("audio") and request.audio.segment_id == 1 and request.audio.sequence == 0:
                yield pb.RecognizeResponse(
                    failure=pb.Failure(segment_id=1, code=pb.FAILURE_CODE_CONTRACT, message="too long")
                )
            if request.HasField("segment_end") and request.segment_end.segment_id != 1:
                yield transcript(request.segment_end.segment_id)

    assert texts(talk(ScriptedServer([fails_first]), 1, 2)) == ["text 2"]


@pytest.mark.parametrize("server", ["http://here:50051", "here", "here:", "here:99999", ""])
def test_an_address_that_is_none_is_refused_at_once(server: str) -> None:
    with pytest.raises(ValueError, match="allowed is host:port"):
        ClientConfig(server=server)


def test_sound_is_not_kept_beyond_the_bound() -> None:
    answer = asyncio.Event()

    async def late(requests: Requests, context: Any) -> Responses:
        yield WELCOME
        ends = [request.segment_end.segment_id async for request in _until_end(requests)]
        await answer.wait()
        yield transcript(ends[-1])
        async for request in requests:
            if request.HasField("segment_end"):
                yield transcript(request.segment_end.segment_id)

    async def run() -> None:
        replies: list[Reply] = []
        async with (
            asyncio.timeout(20),
            client_of(ScriptedServer([late]), replies, max_unanswered_bytes=1 << 16) as client,
        ):
            large = SegmentPayload(1, np.zeros(1 << 16, np.uint8).tobytes(), 1 << 15, 0.0)
            first = events(1)
            for event in [*first[:1], large, *first[4:]]:
                await client.send(event)
            next_one = asyncio.create_task(client.send(events(2)[0]))
            await asyncio.sleep(0.2)
            assert not next_one.done()
            answer.set()
            await next_one
            for event in events(2)[1:]:
                await client.send(event)
            await client.finish()
        assert texts(replies) == ["text 1", "text 2"]

    asyncio.run(run())


async def _until_end(requests: Requests) -> Requests:
    async for request in requests:
        if request.HasField("segment_end"):
            yield request
            return


def test_hotwords_without_effect_are_told_once_and_the_session_goes_on() -> None:
    async def gone(requests: Any, context: Any) -> Responses:
        yield WELCOME
        async for request in requests:
            if request.HasField("segment_end"):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    replies = talk(ScriptedServer([gone, good]), 1, 2, hello=pb.Hello(hotwords=["siobhan"]))
    assert texts(replies) == ["text 1", "text 2"]
    assert sum(isinstance(reply, HotwordsIgnored) for reply in replies) == 1


def test_hotwords_that_are_taken_need_no_word() -> None:
    async def taking(requests: Requests, context: Any) -> Responses:
        yield pb.RecognizeResponse(welcome=pb.Welcome(schema_version=SCHEMA_VERSION, resume_token="t", hotwords=1))
        async for request in requests:
            if request.HasField("segment_end"):
                yield transcript(request.segment_end.segment_id)

    replies = talk(ScriptedServer([taking]), 1, hello=pb.Hello(hotwords=["siobhan"], hotwords_only=True))
    assert texts(replies) == ["text 1"]
    assert not any(isinstance(reply, HotwordsIgnored) for reply in replies)


def test_a_server_that_would_hear_more_than_the_only_hotwords_is_an_error() -> None:
    with pytest.raises(ContractError, match="cannot limit its text to hotwords; update it, or leave"):
        talk(ScriptedServer([good]), 1, hello=pb.Hello(hotwords=["siobhan"], hotwords_only=True))


def test_a_device_says_how_it_is_now_and_then() -> None:
    heard: list[pb.Heartbeat] = []

    async def listening(requests: Requests, context: Any) -> Responses:
        yield WELCOME
        async for request in requests:
            if request.HasField("heartbeat"):
                heard.append(request.heartbeat)
            if len(heard) == 2:
                yield transcript(1)

    assert texts(talk(ScriptedServer([listening]), 1, heartbeat_ms=50)) == ["text 1"]
    assert heard[1].unacknowledged_segments == 1
    assert heard[1].resident_bytes > 10 << 20
    assert heard[1].cpu_ratio < 2.0
