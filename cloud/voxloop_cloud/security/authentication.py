"""Who calls: by a token, by a certificate, or by both, which must then name the same device."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from voxloop_cloud.security.token_store import WatchedTokens
from voxloop_cloud.security.tokens import Role
from voxloop_proto.contract import AUTHORIZATION_METADATA_KEY, BEARER_PREFIX
from voxloop_proto.errors import PermissionDeniedError, UnauthenticatedError

COMMON_NAME = "x509_common_name"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has shown who it is: a device, or an admin. token_id: of the token it did so with, and when that ends."""

    device_id: str
    token_id: str | None = None
    token_end: datetime | None = None
    role: Role = Role.DEVICE


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Who is behind the call that is being answered; None where nobody need say."""


def check_owner(device_id: str) -> None:
    """Raises PermissionDeniedError if the caller is another device than the one that it speaks of."""
    caller = CALLER.get()
    if caller is not None and caller.device_id != device_id:
        raise PermissionDeniedError(
            f"the credentials are those of device {caller.device_id!r}, the message is of {device_id[:80]!r}; "
            f"set device_id = {caller.device_id!r} there, or give it credentials of its own"
        )


def admin_name(claimed: str, asks_nobody: bool) -> str:
    """Whoever calls as an admin; claimed: what it says of itself, which counts only where nobody need say who they are.

    asks_nobody: the port takes anyone, on this machine alone. Raises PermissionDeniedError.
    """
    caller = CALLER.get()
    if caller is None and asks_nobody:
        return claimed or "somebody on this machine"
    if caller is None:
        raise PermissionDeniedError(
            "this server asks nobody who they are, so nobody may change what it serves; start it with --tokens FILE, "
            "and issue a token with 'voxloop tokens issue NAME --role admin'"
        )
    if caller.role is not Role.ADMIN:
        raise PermissionDeniedError(
            f"{caller.device_id} has the role {caller.role}, and this takes an admin; "
            "issue a token with 'voxloop tokens issue NAME --role admin'"
        )
    return caller.device_id


class Authenticator:
    """Tells callers by what the server asks for: tokens, certificates or both."""

    def __init__(self, tokens: WatchedTokens | None, asks_certificate: bool) -> None:
        self._tokens = tokens
        self._asks_certificate = asks_certificate

    def identify(
        self, metadata: Iterable[tuple[str, str | bytes]], peer: Mapping[str, Iterable[bytes]], now: datetime
    ) -> Caller:
        """Who calls. metadata: of the call; peer: what TLS says of the other end. Raises UnauthenticatedError."""
        named = _common_name(peer) if self._asks_certificate else None
        if self._tokens is None:
            if named is None:
                raise UnauthenticatedError("this server asks for a certificate, and none came")
            return Caller(named)
        record = self._tokens.book.check(_bearer_token(metadata), now)
        if named is not None and named != record.device_id:
            raise UnauthenticatedError(f"the token is {record.device_id!r}'s and the certificate {named!r}'s")
        return Caller(record.device_id, record.id, record.end, record.role)


def _common_name(peer: Mapping[str, Iterable[bytes]]) -> str:
    names = list(peer.get(COMMON_NAME, ()))
    if len(names) != 1:
        raise UnauthenticatedError("the certificate must have one common name, the device's id")
    return names[0].decode("utf-8", errors="replace")


def _bearer_token(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    values = [value for key, value in metadata if key == AUTHORIZATION_METADATA_KEY]
    if not values:
        raise UnauthenticatedError(
            "this server asks for a token, and none came; issue one with 'voxloop tokens issue DEVICE' "
            "and give it to the device with --token-file FILE"
        )
    value = values[0]
    if len(values) > 1 or not isinstance(value, str) or not value.startswith(BEARER_PREFIX):
        raise UnauthenticatedError(f"the metadata '{AUTHORIZATION_METADATA_KEY}' must be one '{BEARER_PREFIX}TOKEN'")
    return value.removeprefix(BEARER_PREFIX)
