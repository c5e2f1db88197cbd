"""Speaks to a server's admin service, for commands."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import grpc
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.address import is_loopback
from voxloop_proto.contract import AUTHORIZATION_METADATA_KEY, BEARER_PREFIX
from voxloop_proto.errors import ConfigError, from_status
from voxloop_proto.v1 import admin_pb2 as pb
from voxloop_proto.v1.admin_pb2_grpc import AdminServiceStub

PATIENCE_S: Final = 120.0
"""A bundle that a policy names first is loaded before the answer comes."""

_OWN_CONNECTION: Final = [("grpc.use_local_subchannel_pool", 1)]
"""Else clients of one process share a connection, and so always meet the same worker."""


class AdminConfig(BaseModel):
    """The server, and what is shown to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str = Field("127.0.0.1:50051", description="address, host:port")
    ca: Path | None = Field(None, description="CA of the server's certificate (PEM); none: the public ones")
    token_file: Path | None = Field(None, description="file that holds an admin's token")
    insecure: bool = Field(False, description="plaintext, to a server on this machine alone")


class AdminClient(AbstractContextManager["AdminClient"]):
    """One connection. Every call raises what the server refused it with, as an error of ours."""

    def __init__(self, config: AdminConfig) -> None:
        """Raises ConfigError for settings that cannot be."""
        self._server = config.server
        self._channel = _open_channel(config)
        self._stub = AdminServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def policy(self) -> pb.GetPolicyResponse:
        """What is in force, and what of it is loaded."""
        found: pb.GetPolicyResponse = self._told(self._stub.GetPolicy, pb.GetPolicyRequest())
        return found

    def set_policy(
        self, document: str, reason: str, expected_version: int, unaudited: Sequence[str], author: str
    ) -> pb.PolicyVersion:
        """Puts a policy in force."""
        request = pb.SetPolicyRequest(
            document=document, reason=reason, expected_version=expected_version, unaudited=unaudited, author=author
        )
        found: pb.SetPolicyResponse = self._told(self._stub.SetPolicy, request)
        return found.policy

    def policies(self, most: int) -> list[pb.PolicyVersion]:
        """Those that were in force, the newest first."""
        found: pb.ListPoliciesResponse = self._told(self._stub.ListPolicies, pb.ListPoliciesRequest(most=most))
        return list(found.policies)

    def verdicts(self, bundle: str = "", most: int = 0) -> list[pb.Verdict]:
        """What the evidence said, the newest first."""
        request = pb.ListVerdictsRequest(bundle=bundle, most=most)
        found: pb.ListVerdictsResponse = self._told(self._stub.ListVerdicts, request)
        return list(found.verdicts)

    def _told(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            call = cast("grpc.Call", error)  # what a stub raises is both
            raise from_status(call.code(), call.details() or call.code().name.lower(), self._server) from error


def _open_channel(config: AdminConfig) -> grpc.Channel:
    if config.insecure:
        if config.token_file is not None:
            raise ConfigError("a token is never used in plaintext; leave out --insecure, or the token")
        if not is_loopback(config.server):
            raise ConfigError(f"--insecure is for a server on this machine, and {config.server} is another; use TLS")
        return grpc.insecure_channel(config.server, options=_OWN_CONNECTION)
    credentials = grpc.ssl_channel_credentials(_read(config.ca) if config.ca else None)
    if config.token_file is not None:
        token = _read(config.token_file).decode("latin1").strip()
        shown = grpc.metadata_call_credentials(_Token(token))
        credentials = grpc.composite_channel_credentials(credentials, shown)
    return grpc.secure_channel(config.server, credentials, options=_OWN_CONNECTION)


class _Token(grpc.AuthMetadataPlugin):
    def __init__(self, token: str) -> None:
        self._metadata = ((AUTHORIZATION_METADATA_KEY, BEARER_PREFIX + token),)

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:  # noqa: ARG002
        callback(self._metadata, None)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
