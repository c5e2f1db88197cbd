"""Runs the console until it is told to stop."""

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator

import uvicorn

from voxloop_cloud.console.app import make_app
from voxloop_cloud.console.bridge import MOST_FRAME_BYTES
from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.console.door import Door
from voxloop_cloud.console.meter import Meter
from voxloop_cloud.console.microphones import Microphones
from voxloop_cloud.console.parent import Parent
from voxloop_cloud.console.policy_office import PolicyOffice
from voxloop_cloud.console.sources import Sources
from voxloop_cloud.records.clip_store import open_clip_store
from voxloop_cloud.rollout.review_queue import ReviewQueue
from voxloop_cloud.security.audit_log import open_audit_log
from voxloop_cloud.store.database import open_database
from voxloop_proto.errors import ConfigError

GRACE_S = 2
"""For answers that are on their way when it stops; pages that are live would stay for ever."""


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Captures none."""
        yield


def run_console(config: ConsoleConfig, on_ready: Callable[[str], None], stops_with_stdin: bool = False) -> None:
    """Serves until SIGINT or SIGTERM, or the end of standard input, where its server says which address is its own.
    on_ready: is told the console's, with its port.

    Raises ConfigError for settings that cannot be used.
    """
    with _opened(config) as sources, _listening(config.listen) as listener:
        asyncio.run(_serve(sources, listener, on_ready, stops_with_stdin))


@contextlib.contextmanager
def _opened(config: ConsoleConfig) -> Iterator[Sources]:
    assert config.store.database_url is not None, "the settings have a store"
    door = Door(config)
    engine = open_database(config.store.database_url)
    try:
        yield Sources(
            config=config,
            engine=engine,
            clips=open_clip_store(config.store.clips) if config.store.clips else None,
            door=door,
            meter=Meter(config.metrics, config.scrape_s, time.time),
            policies=PolicyOffice(engine, open_audit_log(config.audit_log, config.tokens)),
            reviews=ReviewQueue(engine, config.most_waiting),
            microphones=Microphones(config.server),
        )
    finally:
        engine.dispose()


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    try:
        listener = socket.create_server((bare, int(port)), family=family, backlog=64)
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"the console cannot listen on {address} ({error}); name another HOST:PORT (port 0 takes a free one)"
        ) from error
    with listener:
        yield listener


async def _serve(
    sources: Sources, listener: socket.socket, on_ready: Callable[[str], None], stops_with_stdin: bool
) -> None:
    config = sources.config
    server = _Server(
        uvicorn.Config(
            make_app(sources),
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=config.certificate,
            ssl_keyfile=config.key,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=500,
            h11_max_incomplete_event_size=32 << 10,
            ws_max_size=MOST_FRAME_BYTES,
            ws_per_message_deflate=False,  # sound does not get smaller by it
        )
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True
        sources.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if stops_with_stdin:
        Parent(sys.stdin.fileno(), sources.microphones.speak_to, stop).attach(loop)
    host, port = config.listen.rpartition(":")[0], listener.getsockname()[1]
    on_ready(f"{'https' if config.certificate else 'http'}://{host}:{port}")
    await server.serve(sockets=[listener])
