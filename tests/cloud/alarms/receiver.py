"""A real HTTP receiver of alarms, that can be told to misbehave."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """Keeps what it took. statuses: what it answers in turn, then 204; -1 breaks the line."""

    statuses: list[int] = field(default_factory=list)
    port: int = 0
    requests: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alarms"

    def await_messages(self, count: int, limit_s: float = 20.0) -> list[dict[str, Any]]:
        """The messages, once there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.messages) >= count, limit_s), self.messages
            return list(self.messages)

    def await_event(self, event: str, rule: str, limit_s: float = 120.0) -> dict[str, Any]:
        """The first message of that kind about the rule, once it is there."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.messages if (each["event"], each["rule"]) == (event, rule)]

        end_s = time.monotonic() + limit_s
        with self.changed:
            while not found():
                assert self.changed.wait(end_s - time.monotonic()) or time.monotonic() < end_s, self.messages
            return found()[0]


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver(list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            with receiver.changed:
                receiver.requests += 1
                status = receiver.statuses.pop(0) if receiver.statuses else 204
                if status == 204:
                    receiver.messages.append(json.loads(content))
                    receiver.headers.append(dict(self.headers))
                receiver.changed.notify_all()
            if status == -1:
                self.connection.close()
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", receiver.url)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
