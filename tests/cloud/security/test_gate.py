"""The gate of a real, encrypted port: who is let in, to what, and for how long."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from voxloop_cloud.engine import EngineConfig
from voxloop_cloud.security import gate
from voxloop_cloud.security.tls import TlsConfig
from voxloop_cloud.security.token_store import change_tokens, read_tokens
from voxloop_cloud.security.tokens import make_token
from voxloop_cloud.server import ServerConfig, open_server
from voxloop_cloud.testing import tiny_bundle
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub

Use = Callable[[grpc.aio.Channel], Awaitable[None]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bundle(tmp_path_factory.mktemp("bundle")).path)


@pytest.fixture
def tokens(certificates: Path, tmp_path: Path) -> Path:
    """The file of tokens, to be changed."""
    file = tmp_path / "tokens.json"
    file.write_bytes((certificates / "tokens.json").read_bytes())
    return file


def with_server(bundle: str, folder: Path, use: Use, tokens: Path | None = None, device_ca: bool = False) -> None:
    """Runs a server behind a gate, and something that uses it through a channel that trusts it, and shows `kitchen`'s
    certificate where one is asked for."""
    tls = TlsConfig(
        certificate=folder / "server.pem", key=folder / "server.key", client_ca=folder / "ca.pem" if device_ca else None
    )
    config = ServerConfig(
        listen="127.0.0.1:0", drain_ms=100, tls=tls, tokens=tokens, engine=EngineConfig(bundle=bundle)
    )
    key, chain = ((folder / f"device-kitchen.{kind}").read_bytes() if device_ca else None for kind in ("key", "pem"))

    async def run() -> None:
        async with open_server(config) as address:
            credentials = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes(), key, chain)
            async with asyncio.timeout(30), grpc.aio.secure_channel(address, credentials) as channel:
                await use(channel)

    asyncio.run(run())


def bearer(folder: Path, device_id: str) -> tuple[tuple[str, str]]:
    return (("authorization", "Bearer " + (folder / f"{device_id}.token").read_text()),)


def hello(device_id: str) -> pb.RecognizeRequest:
    audio_format = pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=16_000)
    return pb.RecognizeRequest(
        hello=pb.Hello(
            schema_version=SCHEMA_VERSION, device_id=device_id, session_id=uuid.uuid4().hex, audio_format=audio_format
        )
    )


def calls(channel: grpc.aio.Channel, metadata: Any = None) -> dict[str, Callable[[], Any]]:
    """One call of each method that a server offers, health's Check left out."""
    stub: Any = SpeechServiceStub(channel)
    reflect = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    watch = health_pb2_grpc.HealthStub(channel).Watch
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    feedback = pb.FeedbackRequest(device_id="kitchen", session_id="s")
    return {
        "Recognize": lambda: stub.Recognize(iter([hello("kitchen")]), metadata=metadata),
        "Feedback": lambda: stub.Feedback(feedback, metadata=metadata),
        "Erase": lambda: stub.Erase(pb.EraseRequest(device_id="kitchen"), metadata=metadata),
        "GetServerInfo": lambda: stub.GetServerInfo(pb.GetServerInfoRequest(), metadata=metadata),
        "ServerReflectionInfo": lambda: reflect(iter([asked]), metadata=metadata),
        "Watch": lambda: watch(health_pb2.HealthCheckRequest(), metadata=metadata),
    }


async def status_of(call: Any) -> grpc.StatusCode | None:
    """How a call ends: OK as well when it goes on after its first answer. None: grpc.aio cannot say."""
    try:
        if hasattr(call, "read"):
            await call.read()
            return grpc.StatusCode.OK if not call.done() else await call.code()
        await call
    except grpc.aio.AioRpcError as error:
        # What it says when a message was written just as the call ended. A device comes again then (break_cause.py).
        return None if error.details() == "Internal error from Core" else error.code()
    return grpc.StatusCode.OK


async def statuses(channel: grpc.aio.Channel, metadata: Any = None) -> dict[str, grpc.StatusCode]:
    return {name: await status_of_one(call) for name, call in calls(channel, metadata).items()}


async def status_of_one(make: Callable[[], Any]) -> grpc.StatusCode:
    """Of a call that is made for this, and again as long as nobody can say."""
    while True:
        call = make()
        status = await status_of(call)
        call.cancel()
        if status is not None:
            return status


METHODS = ("Recognize", "Feedback", "Erase", "GetServerInfo", "ServerReflectionInfo", "Watch")


def test_without_a_token_no_method_answers_but_that_the_server_is_well(
    bundle: str, certificates: Path, tokens: Path
) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        for metadata in (
            None,
            (("authorization", "Bearer "),),
            (("authorization", "Basic a2l0Y2hlbjo="),),
            (("authorization", (certificates / "kitchen.token").read_text()),),
            bearer(certificates, "kitchen") * 2,
            (("authorization", f"Bearer voxloop_{'0' * 16}_{'a' * 43}"),),
        ):
            assert await statuses(channel, metadata) == dict.fromkeys(METHODS, grpc.StatusCode.UNAUTHENTICATED)

    with_server(bundle, certificates, use, tokens)


def test_with_its_token_a_device_reaches_every_method(bundle: str, certificates: Path, tokens: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        found = await statuses(channel, bearer(certificates, "kitchen"))
        kept = dict.fromkeys(("Feedback", "Erase"), grpc.StatusCode.UNIMPLEMENTED)
        assert found == dict.fromkeys(METHODS, grpc.StatusCode.OK) | kept

    with_server(bundle, certificates, use, tokens)


def test_a_device_speaks_of_itself_alone(bundle: str, certificates: Path, tokens: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        found = await statuses(channel, bearer(certificates, "hall"))  # all calls are about the kitchen
        mine = dict.fromkeys(("GetServerInfo", "ServerReflectionInfo", "Watch"), grpc.StatusCode.OK)
        assert found == dict.fromkeys(METHODS, grpc.StatusCode.PERMISSION_DENIED) | mine

    with_server(bundle, certificates, use, tokens)
    lines = [json.loads(line) for line in tokens.with_name("audit.jsonl").read_text().splitlines()]
    assert {(line["who"], line["method"].rpartition("/")[2]) for line in lines} == {
        ("hall", "Recognize"), ("hall", "Feedback"), ("hall", "Erase"),
    }  # fmt: skip
    assert len(lines) == 3
    assert all("credentials are those of device 'hall'" in line["why"] for line in lines)
    assert all(line["peer"].startswith("ipv4:127.0.0.1:") for line in lines)


def test_a_certificate_is_the_device_that_it_names(bundle: str, certificates: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        assert await statuses(channel) == await statuses(channel, bearer(certificates, "kitchen"))
        found = await statuses(channel)
        assert found["Recognize"] is grpc.StatusCode.OK
        call: Any = SpeechServiceStub(channel).Recognize(iter([hello("hall")]))
        assert await status_of(call) is grpc.StatusCode.PERMISSION_DENIED

    with_server(bundle, certificates, use, device_ca=True)


def test_where_both_are_asked_for_both_must_name_the_same_device(bundle: str, certificates: Path, tokens: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        for metadata in (None, bearer(certificates, "hall")):
            assert set((await statuses(channel, metadata)).values()) == {grpc.StatusCode.UNAUTHENTICATED}
        assert (await statuses(channel, bearer(certificates, "kitchen")))["Recognize"] is grpc.StatusCode.OK

    with_server(bundle, certificates, use, tokens, device_ca=True)


def test_a_stranger_s_message_is_not_even_read(bundle: str, certificates: Path, tokens: Path) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        raw: Any = channel  # without a serializer it takes bytes, which its types do not know
        garbage = raw.stream_stream("/voxloop.v1.SpeechService/Recognize")(iter([b"\xff" * 1_000]))
        assert await status_of(garbage) is grpc.StatusCode.UNAUTHENTICATED
        large = raw.unary_unary("/voxloop.v1.SpeechService/Erase")(bytes(10 << 20))
        assert await status_of(large) is grpc.StatusCode.UNAUTHENTICATED  # read, it would be RESOURCE_EXHAUSTED

    with_server(bundle, certificates, use, tokens)


async def open_session(channel: grpc.aio.Channel, metadata: Any) -> Any:
    stub: Any = SpeechServiceStub(channel)
    call = stub.Recognize(metadata=metadata)
    await call.write(hello("kitchen"))
    assert (await call.read()).HasField("welcome")
    return call


async def end_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call.read()
    return ended.value.code(), ended.value.details() or ""


def end_tokens(file: Path, after: timedelta = timedelta(0), device_id: str = "kitchen") -> None:
    now = datetime.now(UTC)
    change_tokens(file, lambda book: book.end(lambda known: known.device_id == device_id, now + after, now))


def test_a_token_that_is_revoked_ends_its_open_streams_and_no_other(
    bundle: str, certificates: Path, tokens: Path
) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        call = await open_session(channel, bearer(certificates, "kitchen"))
        end_tokens(tokens, device_id="hall")
        await asyncio.sleep(2 * gate.WATCH_INTERVAL_S)
        assert not call.done()
        started_s = asyncio.get_running_loop().time()
        end_tokens(tokens)
        code, details = await end_of(call)
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "the token of kitchen was revoked or has ended; issue a new one" in details
        assert asyncio.get_running_loop().time() - started_s < 3.0
        found = await statuses(channel, bearer(certificates, "kitchen"))
        assert set(found.values()) == {grpc.StatusCode.UNAUTHENTICATED}

    with_server(bundle, certificates, use, tokens)


def test_a_token_counts_from_the_moment_of_its_issue(
    bundle: str, certificates: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However seldom the file is looked at: a device may come at once with a new token."""
    monkeypatch.setattr(gate, "WATCH_INTERVAL_S", 3600.0)

    async def use(channel: grpc.aio.Channel) -> None:
        await statuses(channel)
        now = datetime.now(UTC)
        text, record = make_token("attic", now, timedelta(days=1))
        change_tokens(tokens, lambda book: book.add(record, now))
        found = await statuses(channel, (("authorization", f"Bearer {text}"),))
        assert found["GetServerInfo"] is grpc.StatusCode.OK

    with_server(bundle, certificates, use, tokens)


def test_a_token_that_was_replaced_asks_its_streams_to_come_again(
    bundle: str, certificates: Path, tokens: Path
) -> None:
    async def use(channel: grpc.aio.Channel) -> None:
        call = await open_session(channel, bearer(certificates, "kitchen"))
        now = datetime.now(UTC)
        text, record = make_token("kitchen", now, timedelta(days=1))
        change_tokens(tokens, lambda book: book.end(lambda _: True, now + timedelta(seconds=0.5), now).add(record, now))
        code, details = await end_of(call)
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "was replaced; connect again with the new one" in details
        (await open_session(channel, (("authorization", f"Bearer {text}"),))).cancel()

    with_server(bundle, certificates, use, tokens)


def test_a_stream_ends_with_its_token_though_the_file_never_changes(
    bundle: str, certificates: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_tokens(tokens, after=timedelta(seconds=4))  # starting the server takes a part of it
    monkeypatch.setattr(gate, "WATCH_INTERVAL_S", 3600.0)

    async def use(channel: grpc.aio.Channel) -> None:
        call = await open_session(channel, bearer(certificates, "kitchen"))
        assert (await end_of(call))[0] is grpc.StatusCode.UNAUTHENTICATED
        assert datetime.now(UTC) >= read_tokens(tokens).tokens[0].end

    with_server(bundle, certificates, use, tokens)


def test_a_stream_whose_device_does_not_read_ends_with_its_token_too(
    bundle: str, certificates: Path, tokens: Path
) -> None:
    asked = 1_000
    ask = reflection_pb2.ServerReflectionRequest(file_containing_symbol="voxloop.v1.SpeechService")

    async def use(channel: grpc.aio.Channel) -> None:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(metadata=bearer(certificates, "kitchen"))
        for _ in range(asked):  # far more of answers than any window takes
            await call.write(ask)
        end_tokens(tokens)
        await asyncio.sleep(2 * gate.WATCH_INTERVAL_S)
        answers = 0
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                answers += 1
        assert answers < asked
        assert await call.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.CANCELLED)

    with_server(bundle, certificates, use, tokens)
