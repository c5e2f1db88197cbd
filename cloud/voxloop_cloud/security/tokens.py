"""Bearer tokens of devices: what is known of them, and which ones count. Pure: time is an argument.

A token is 256 random bits, so its SHA-256 is as good as any slow hash: there is no list of likely ones to try, and a
fast hash costs the server nothing. The file of tokens lets nobody in who steals it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PrivateAttr

from voxloop_proto.errors import ConfigError, UnauthenticatedError

PREFIX = "voxloop"
MAX_TOKENS = 100_000
KEPT = timedelta(days=90)
"""How long a token that no longer counts stays in the list, for whoever looks into what happened."""

_TOKEN = re.compile(rf"{PREFIX}_([0-9a-f]{{16}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_NOBODY = "0" * 64


class Role(StrEnum):
    """What a token lets its holder do."""

    DEVICE = "device"  # speak, and give feedback and erase what is its own
    ADMIN = "admin"  # besides, say which bundle answers whom


class TokenRecord(BaseModel):
    """One token, without its secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    device_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: Role = Role.DEVICE
    issued: AwareDatetime
    expires: AwareDatetime
    revoked: AwareDatetime | None = None

    def why_not(self, now: datetime) -> str | None:
        """What is wrong with it; None: it counts."""
        if self.revoked is not None and self.revoked <= now:
            return f"was revoked on {self.revoked:%Y-%m-%d}"
        if self.expires <= now:
            return f"ended on {self.expires:%Y-%m-%d %H:%M} UTC"
        return None

    @property
    def end(self) -> datetime:
        """When it stops to count."""
        return self.expires if self.revoked is None else min(self.expires, self.revoked)


def make_token(device_id: str, now: datetime, lifetime: timedelta, role: Role = Role.DEVICE) -> tuple[str, TokenRecord]:
    """A new token, and what is kept of it."""
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    record = TokenRecord(
        id=token_id,
        device_id=device_id,
        sha256=_digest(secret),
        role=role,
        issued=now,
        expires=now + lifetime,
        revoked=None,
    )
    return f"{PREFIX}_{token_id}_{secret}", record


class TokenBook(BaseModel):
    """All tokens of a server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    tokens: tuple[TokenRecord, ...] = Field((), max_length=MAX_TOKENS)
    _by_id: dict[str, TokenRecord] = PrivateAttr(default_factory=dict)

    def model_post_init(self, _context: object) -> None:
        """Makes each call's token quick to find."""
        self._by_id = {record.id: record for record in self.tokens}

    def find(self, token_id: str) -> TokenRecord | None:
        """What is known of a token."""
        return self._by_id.get(token_id)

    def check(self, token: str, now: datetime) -> TokenRecord:
        """The record of a token that counts. Raises UnauthenticatedError; a stranger learns nothing from it.

        A token is found by its id, which is no secret; its secret is compared in constant time.
        """
        parts = _TOKEN.fullmatch(token)
        record = self.find(parts[1]) if parts else None
        is_same = hmac.compare_digest(_digest(parts[2] if parts else ""), record.sha256 if record else _NOBODY)
        if record is None or not is_same:
            raise UnauthenticatedError(
                "this token is not one of this server's; issue one: 'voxloop tokens issue DEVICE'"
            )
        if why_not := record.why_not(now):
            raise UnauthenticatedError(
                f"the token of {record.device_id} {why_not}; issue a new one: 'voxloop tokens issue {record.device_id}'"
            )
        return record

    def of(self, device_id: str, now: datetime) -> list[TokenRecord]:
        """The device's tokens that count."""
        return [record for record in self.tokens if record.device_id == device_id and not record.why_not(now)]

    def add(self, record: TokenRecord, now: datetime) -> "TokenBook":
        """With one more token. Raises ConfigError if there is no room; forgets those that ended long ago."""
        kept = tuple(known for known in self.tokens if now - known.end < KEPT)
        if len(kept) >= MAX_TOKENS:
            raise ConfigError(
                f"there are {len(kept)} tokens, the most allowed; revoke some, they go after {KEPT.days} days"
            )
        return TokenBook(tokens=(*kept, record))

    def end(self, which: Callable[[TokenRecord], bool], at: datetime, now: datetime) -> "TokenBook":
        """With the chosen tokens that count now revoked at a time, which may be ahead."""

        def ended(record: TokenRecord) -> TokenRecord:
            if record.why_not(now) or not which(record) or record.end <= at:
                return record
            return record.model_copy(update={"revoked": at})

        return TokenBook(tokens=tuple(map(ended, self.tokens)))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
