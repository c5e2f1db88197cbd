"""The server through its real port."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from voxloop_cloud.engine import EngineConfig
from voxloop_cloud.limits import Limits
from voxloop_cloud.server import ServerConfig, open_server
from voxloop_cloud.testing import tiny_bundle
from voxloop_proto.contract import RETRY_AFTER_METADATA_KEY, SCHEMA_VERSION
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub

PCM16 = pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=16_000)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bundle(tmp_path_factory.mktemp("bundle")).path)


def with_server(
    bundle: str,
    use: Callable[[grpc.aio.Channel], Awaitable[None]],
    limits: Limits | None = None,
    max_sessions: int = 10,
) -> None:
    """Runs a server on a free port, and something that uses it."""
    config = ServerConfig(
        listen="127.0.0.1:0",
        insecure=True,
        max_sessions=max_sessions,
        hello_timeout_ms=200,
        drain_ms=100,
        limits=limits or Limits(),
        engine=EngineConfig(bundle=bundle),
    )

    async def run() -> None:
        async with open_server(config) as address, grpc.aio.insecure_channel(address) as channel:
            await use(channel)

    asyncio.run(run())


def hello(device_id: str = "kitchen", session_id: str = "s1") -> pb.RecognizeRequest:
    return pb.RecognizeRequest(
        hello=pb.Hello(schema_version=SCHEMA_VERSION, device_id=device_id, session_id=session_id, audio_format=PCM16)
    )


async def say_hello(channel: grpc.aio.Channel, device_id: str, session_id: str) -> "grpc.aio.StreamStreamCall":  # type: ignore[type-arg]
    """An open session, welcomed."""
    call: grpc.aio.StreamStreamCall = SpeechServiceStub(channel).Recognize()  # type: ignore[call-arg, type-arg, assignment]
    await call.write(hello(device_id, session_id))
    response = await call.read()
    assert isinstance(response, pb.RecognizeResponse)
    assert response.HasField("welcome")
    return call


def test_it_says_that_it_is_healthy_and_what_it_offers(bundle: str) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        request = health_pb2.HealthCheckRequest(service="voxloop.v1.SpeechService")
        health = await health_pb2_grpc.HealthStub(channel).Check(request)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask])):
            names = {service.name for service in answer.list_services_response.service}
            assert "voxloop.v1.SpeechService" in names

    with_server(bundle, use)


def test_it_says_what_it_serves(bundle: str) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        call = await say_hello(channel, "kitchen", "s1")
        info = await SpeechServiceStub(channel).GetServerInfo(pb.GetServerInfoRequest())  # type: ignore[misc]
        assert [found.name for found in info.bundles] == ["voxloop-tiny"]
        assert info.schema_version == SCHEMA_VERSION
        assert info.open_sessions == 1
        assert info.cpu_s > 0
        assert info.resident_bytes > 1 << 20
        call.cancel()

    with_server(bundle, use)


def test_sessions_beyond_a_limit_are_refused_at_once_and_told_when_to_come_back(bundle: str) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        calls = [await say_hello(channel, "kitchen", f"s{number}") for number in range(2)]
        with pytest.raises(grpc.aio.AioRpcError, match="has 2 open sessions, the most allowed"):
            await say_hello(channel, "kitchen", "s9")
        calls.append(await say_hello(channel, "hall", "s3"))
        with pytest.raises(grpc.aio.AioRpcError, match="3 sessions are open, the most here") as refused:
            await say_hello(channel, "attic", "s4")
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (RETRY_AFTER_METADATA_KEY, "1000") in list(refused.value.trailing_metadata())
        await calls[0].done_writing()
        assert await calls[0].read() == grpc.aio.EOF
        calls.append(await say_hello(channel, "kitchen", "s5"))
        for call in calls:
            call.cancel()

    with_server(bundle, use, Limits(max_sessions_per_device=2), max_sessions=3)


def test_a_session_refused_for_its_hello_takes_up_no_place(bundle: str) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        for _ in range(5):
            with pytest.raises(grpc.aio.AioRpcError, match="device_id ''"):
                await say_hello(channel, "", "s1")
        (await say_hello(channel, "kitchen", "s2")).cancel()

    with_server(bundle, use, max_sessions=2)


def test_a_stream_without_a_hello_is_ended(bundle: str) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        call: grpc.aio.StreamStreamCall = SpeechServiceStub(channel).Recognize()  # type: ignore[call-arg, type-arg, assignment]
        with pytest.raises(grpc.aio.AioRpcError, match="no Hello within 200 ms"):
            await call.read()

    with_server(bundle, use)


def test_a_message_over_the_limit_ends_the_session_and_not_the_server(bundle: str) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        call = await say_hello(channel, "kitchen", "s1")
        await call.write(pb.RecognizeRequest(audio=pb.Audio(segment_id=1, payload=bytes(300_000))))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        (await say_hello(channel, "kitchen", "s2")).cancel()

    with_server(bundle, use)


def test_what_is_not_kept_cannot_be_told_or_erased(bundle: str) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        stub = SpeechServiceStub(channel)
        feedback = pb.FeedbackRequest(device_id="kitchen", session_id="s1")
        for call in (stub.Feedback(feedback), stub.Erase(pb.EraseRequest(device_id="kitchen"))):
            with pytest.raises(grpc.aio.AioRpcError, match="keeps no utterances") as refused:
                await call  # type: ignore[misc]
            assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED

    with_server(bundle, use)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.168.1.5:50051"])
def test_plaintext_beyond_this_machine_must_be_asked_for(listen: str) -> None:
    async def run() -> None:
        async with open_server(ServerConfig(listen=listen, insecure=True)):
            pass

    with pytest.raises(ConfigError, match="in plaintext over the network"):
        asyncio.run(run())


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "0.0.0.0:0"])
def test_no_plaintext_port_is_opened_unasked(listen: str) -> None:
    async def run() -> None:
        async with open_server(ServerConfig(listen=listen, insecure_beyond_loopback=True)):
            pass

    with pytest.raises(ConfigError, match="no certificate, and speech is not taken in plaintext unasked"):
        asyncio.run(run())


def test_a_port_that_is_taken_is_named(bundle: str) -> None:
    async def run() -> None:
        engine = EngineConfig(bundle=bundle)
        async with (
            open_server(ServerConfig(listen="127.0.0.1:0", insecure=True, engine=engine)) as address,
            open_server(ServerConfig(listen=address, insecure=True, engine=engine)),
        ):
            pass

    with pytest.raises(ConfigError, match="the port is taken"):
        asyncio.run(run())


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_server(
            ServerConfig(listen="127.0.0.1:0", insecure=True, engine=EngineConfig(bundle=str(tmp_path / "no")))
        ):
            pass

    with pytest.raises(ConfigError, match="no"):
        asyncio.run(run())
