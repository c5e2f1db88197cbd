"""Who may come in: by the password, or by an admin's token."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.console.password import read_password
from voxloop_cloud.console.sessions import Sessions, Tries
from voxloop_cloud.security.token_store import WatchedTokens
from voxloop_cloud.security.tokens import PREFIX, Role
from voxloop_proto.errors import OverloadError, PermissionDeniedError, UnauthenticatedError

COOKIE: Final = "voxloop_console"
_NAME: Final = re.compile(r"[\w][\w .@+-]{0,63}")
_REFUSED: Final = "this name, password or token does not open the console"
_log = structlog.get_logger("voxloop.console")


class Door:
    """Signs people in, and knows who is."""

    def __init__(self, config: ConsoleConfig, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError for a file of a password or tokens that cannot be used."""
        password = read_password(config)
        self._password = hashlib.sha256(password.encode()).digest() if password else None
        self._tokens = WatchedTokens(config.tokens) if config.tokens else None
        self._tries = Tries()
        self.sessions = Sessions(config.session_hours * 3_600.0)
        self.clock = clock

    def sign_in(self, name: str, secret: str, address: str, now: datetime | None = None) -> str:
        """The cookie for whoever shows the password, or an admin's token.

        Raises OverloadError after too many tries, UnauthenticatedError or PermissionDeniedError.
        """
        if wait_ms := self._tries.take(address, self.clock()):
            raise OverloadError(f"too many tries; the next one in {wait_ms / 1000.0:.0f} s", retry_after_ms=wait_ms)
        try:
            who = self._named(name, secret, now or datetime.now(UTC))
        except (UnauthenticatedError, PermissionDeniedError):
            _log.warning("console.refused", address=address)
            raise
        self._tries.give_back(address)
        _log.info("console.signed_in", name=who, address=address)
        return self.sessions.begin(who, self.clock())

    def _named(self, name: str, secret: str, now: datetime) -> str:
        if self._tokens is not None and secret.startswith(f"{PREFIX}_"):
            self._tokens.refresh()
            record = self._tokens.book.check(secret, now)
            if record.role is not Role.ADMIN:
                raise PermissionDeniedError(
                    f"the token of {record.device_id} is no admin's; the console takes an admin's"
                )
            return record.device_id
        shown = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        if self._password is None or not hmac.compare_digest(shown, self._password):
            raise UnauthenticatedError(_REFUSED)
        if not _NAME.fullmatch(name.strip()):
            raise UnauthenticatedError(
                "say who you are, in 1 to 64 letters, digits, spaces or . @ + - _: it is kept with what you change"
            )
        return name.strip()
