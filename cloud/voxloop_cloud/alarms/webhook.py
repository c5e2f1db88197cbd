"""Tells somebody else: sends messages over HTTP from a thread of its own, and never makes the server wait."""

import json
import queue
import random
import threading
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import structlog

from voxloop_cloud.alarms.config import AlarmsConfig
from voxloop_cloud.alarms.message import Message
from voxloop_proto.address import is_loopback
from voxloop_proto.errors import ConfigError

MAX_WAITING: Final = 256
"""Beyond it the oldest message gives way, and the log says so."""

MAX_TRIES: Final = 6
FIRST_WAIT_S: Final = 1.0
MAX_SECRET_BYTES: Final = 4_096
_RETRYABLE: Final = frozenset({408, 425, 429}) | frozenset(range(500, 600))
_log = structlog.get_logger("voxloop.alarms")


class Webhook:
    """Sends each message until it is taken (any 2xx), six times at most: 1, 2, 4, 8 and 16 s apart, half by chance.

    Messages go out one after the other, in order. What a receiver refuses (4xx) is not sent again.
    """

    def __init__(self, config: AlarmsConfig, first_wait_s: float = FIRST_WAIT_S) -> None:
        """Raises ConfigError for a URL or secret that can't be used."""
        assert config.webhook is not None
        self._url = config.webhook.get_secret_value()
        self._host = _checked_host(self._url, config)
        self._headers = {"Content-Type": "application/json", "User-Agent": "voxloop"}
        if config.webhook_secret is not None:
            self._headers["Authorization"] = f"Bearer {_read_secret(config)}"
        self._timeout_s = config.webhook_timeout_ms / 1000.0
        self._first_wait_s = first_wait_s
        self._opener = build_opener(_NoRedirects())
        self._waiting: queue.Queue[Message | None] = queue.Queue(MAX_WAITING)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms webhook", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Takes a message to be sent; returns at once."""
        self._put(message)

    def close(self, patience_s: float) -> None:
        """Gives what waits this long to go out; what is left is told in the log."""
        self._put(None)
        self._thread.join(patience_s)
        self._stop.set()
        if self._thread.is_alive():
            _log.error("alarms.not_sent", host=self._host, messages=self._waiting.qsize(), reason="the server stopped")

    def _put(self, message: Message | None) -> None:
        while True:
            try:
                self._waiting.put_nowait(message)
                return
            except queue.Full:
                try:
                    dropped = self._waiting.get_nowait()
                except queue.Empty:
                    continue
                _log.error("alarms.not_sent", host=self._host, message=dropped, reason=f"{MAX_WAITING} wait already")

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None and not self._stop.is_set():
            try:
                self._deliver(message)
            except Exception:  # noqa: BLE001 (the thread's boundary: the next message goes out all the same)
                _log.exception("alarms.not_sent", host=self._host, message=message.get("id"))

    def _deliver(self, message: Message) -> None:
        request = Request(self._url, json.dumps(message).encode(), self._headers, method="POST")
        for attempt in range(MAX_TRIES):
            refusal = self._try(request)
            if refusal is None:
                return
            reason, is_final = refusal
            if is_final or attempt == MAX_TRIES - 1:
                break
            _log.warning("alarms.sent_again", host=self._host, message=message.get("id"), reason=reason)
            if self._stop.wait(wait_s(attempt, self._first_wait_s, random.random())):
                break
        _log.error("alarms.not_sent", host=self._host, message=message, reason=reason)

    def _try(self, request: Request) -> tuple[str, bool] | None:
        """Sends it once. None if it was taken, else why not, and whether that is final."""
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return None
        except HTTPError as error:
            with error:
                return f"status {error.code}", error.code not in _RETRYABLE
        except (OSError, HTTPException) as error:
            return type(error).__name__, False  # its text may hold the URL


def wait_s(attempt: int, first_wait_s: float, chance: float) -> float:
    """Seconds before the next try: twice as long each time, between half of it and all. chance: 0 to 1."""
    return first_wait_s * float(2**attempt) * (0.5 + chance / 2.0)


class _NoRedirects(HTTPRedirectHandler):
    """A redirected POST would become a GET, and take the secret elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Gives none, so that the redirect is an HTTPError."""


def _checked_host(url: str, config: AlarmsConfig) -> str:
    """The URL's host, for logs: the rest of it may be a secret."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(
            "alarms.webhook is no URL (it is not shown, it may hold a secret); allowed is http(s)://HOST/PATH"
        )
    if parts.username is not None:
        raise ConfigError(
            "alarms.webhook has a user's name in it (it is not shown), which would not be sent; "
            "give what the receiver asks for in alarms.webhook_secret"
        )
    if config.webhook_secret is not None and parts.scheme == "http" and not is_loopback(f"[{host}]:{parts.port or 80}"):
        raise ConfigError(
            f"alarms.webhook_secret would go to {host} in plaintext; give alarms.webhook an https:// URL, "
            "or leave the secret out"
        )
    return host


def _read_secret(config: AlarmsConfig) -> str:
    assert config.webhook_secret is not None
    try:
        content = config.webhook_secret.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read alarms.webhook_secret {config.webhook_secret}: {error.strerror}") from error
    secret = content.strip()
    if not secret or len(content) > MAX_SECRET_BYTES or any(not 0x20 < byte < 0x7F for byte in secret):
        raise ConfigError(
            f"alarms.webhook_secret {config.webhook_secret}: allowed is one word of ASCII characters, "
            f"at most {MAX_SECRET_BYTES}"
        )
    return secret.decode("ascii")
