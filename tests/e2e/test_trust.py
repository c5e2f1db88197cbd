"""Each way in which a server cannot be trusted, met at a real port: gRPC's words change, and these tests notice."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from voxloop_cloud.security.certificate_authority import CertificateAuthority
from voxloop_edge.call_error import to_error
from voxloop_edge.channel import open_channel, open_stub
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.silent_server import SilentService
from voxloop_proto.errors import ConfigError, UnavailableError, VoxloopError
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import add_SpeechServiceServicer_to_server

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    made = CertificateAuthority.make("a test's CA", NOW - timedelta(days=1000))
    made.save(tmp_path)
    return made


def call(
    authority: CertificateAuthority,
    folder: Path,
    hosts: Sequence[str] = ("127.0.0.1",),
    issued: datetime = NOW,
    was_open: bool = False,
    ca: str = "ca.pem",
    before_call: Callable[[], None] = lambda: None,
    **settings: Any,
) -> VoxloopError | None:
    """How one call to a server ends whose certificate was issued for some hosts at some time."""
    authority.issue_server(hosts, folder / "server.pem", folder / "server.key", issued)
    pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())

    async def run() -> VoxloopError | None:
        server = grpc.aio.server()
        add_SpeechServiceServicer_to_server(SilentService(), server)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        await server.start()
        config = ClientConfig.model_validate({"server": f"127.0.0.1:{port}", "tls": {"ca": folder / ca}} | settings)
        try:
            async with open_channel(config) as channel:
                before_call()
                await open_stub(channel).GetServerInfo(pb.GetServerInfoRequest(), timeout=10)
        except grpc.aio.AioRpcError as error:
            return to_error(error, config, was_open)
        finally:
            await server.stop(0)
        return None

    return asyncio.run(run())


def test_a_server_that_is_what_it_says_is_trusted(authority: CertificateAuthority, tmp_path: Path) -> None:
    assert call(authority, tmp_path) is None


def test_each_fault_of_a_certificate_is_told_with_what_to_do(authority: CertificateAuthority, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    CertificateAuthority.make("another CA", NOW).save(other)
    faults: list[tuple[dict[str, Any], str]] = [
        ({"issued": NOW - timedelta(days=398)}, "its certificate has ended: the server needs a new one"),
        ({"issued": NOW + timedelta(days=1)}, "its certificate is not valid yet: set the clock of this device"),
        ({"hosts": ("speech.example.org",)}, "its certificate is for another name"),
        ({"ca": "other/ca.pem"}, "its certificate is of a CA that this device does not know"),
    ]
    for changes, said in faults:
        for name in ("server.pem", "server.key"):
            (tmp_path / name).unlink(missing_ok=True)
        found = call(authority, tmp_path, **changes)
        assert isinstance(found, ConfigError), said
        assert said in found.message
        assert "cannot trust 127.0.0.1:" in found.message


def test_a_server_that_was_trusted_before_may_be_so_again(authority: CertificateAuthority, tmp_path: Path) -> None:
    found = call(authority, tmp_path, issued=NOW - timedelta(days=398), was_open=True)
    assert isinstance(found, UnavailableError)
    assert "its certificate has ended" in found.message


def test_a_token_file_that_is_gone_in_mid_session_is_named(authority: CertificateAuthority, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("token")
    found = call(authority, tmp_path, before_call=token.unlink, token_file=token)
    assert isinstance(found, ConfigError)
    assert found.message == f"cannot read client.token_file {token}: No such file or directory"


def test_where_no_server_is_it_is_told_with_what_to_do() -> None:
    async def run() -> VoxloopError:
        config = ClientConfig.model_validate({"server": "127.0.0.1:9", "insecure": True})
        async with open_channel(config) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await open_stub(channel).GetServerInfo(pb.GetServerInfoRequest(), timeout=10)
        return to_error(ended.value, config)

    told = asyncio.run(run())
    assert isinstance(told, UnavailableError)
    assert told.message == "no server at 127.0.0.1:9: start one ('voxloop serve') or name it with --server"
