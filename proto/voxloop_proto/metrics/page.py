"""The page that Prometheus reads: a thread that answers HTTP."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, disable_created_metrics, make_wsgi_app

from voxloop_proto.errors import ConfigError

PATIENCE_S: Final = 5.0
"""How long a reader gets for the whole of its reading; others wait as long, as there is one thread."""

_CLOSING_S: Final = 1.0

_BACKLOG: Final = 16


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """A socket at HOST:PORT; processes that are forked from this one may all answer at it. Raises ConfigError."""
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    try:
        found = socket.create_server(
            (bare, int(port)), family=socket.AF_INET6 if ":" in bare else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        raise ConfigError(
            f"cannot show metrics on {address} ({error.strerror}): the port is taken or the address is not this "
            "machine's; name another with --metrics HOST:PORT (port 0 takes a free one)"
        ) from error
    with found:
        found.setblocking(False)  # of several processes that are woken by one call, the others must not wait for a next
        yield found


def url_of(listener: socket.socket) -> str:
    """Where the page is."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"


@contextmanager
def showing(listener: socket.socket, registry: CollectorRegistry) -> Iterator[None]:
    """Answers at the socket with the registry's figures until the block is left, in a thread of its own."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a line for each series that nobody reads
    server = _PageServer(listener, registry)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        threading.Thread(target=server.shutdown, daemon=True).start()  # it waits for whoever is reading now
        thread.join(_CLOSING_S)


class _Handler(WSGIRequestHandler):
    def setup(self) -> None:
        """Whoever sends or takes a byte now and then is sent away as is one who does nothing."""
        super().setup()
        self._end = threading.Timer(PATIENCE_S, _hang_up, [self.connection])
        self._end.daemon = True
        self._end.start()

    def finish(self) -> None:
        """This reader has what it asked for, or is gone."""
        self._end.cancel()
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a reader that goes away is no news."""


class _PageServer(WSGIServer):
    """Takes over a socket that listens already; it stays open when this ends."""

    def __init__(self, listener: socket.socket, registry: CollectorRegistry) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_address = listener.getsockname()
        self.server_name, self.server_port = "localhost", int(listener.getsockname()[1])
        self.setup_environ()
        self.set_app(make_wsgi_app(registry))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that is slow or gone: nothing to tell."""


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has just gone
        connection.shutdown(socket.SHUT_RDWR)
