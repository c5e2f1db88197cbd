"""The console that `voxloop serve --console` starts: a process of its own, so that no page ever delays recognition."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

from voxloop_cloud.server import ServerConfig
from voxloop_proto.address import is_loopback
from voxloop_proto.errors import ConfigError

STOP_S = 5.0
_ANY_LOCAL_PORT = "127.0.0.1:0"
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def with_metrics(settings: ServerConfig) -> ServerConfig:
    """The console reads the server's metrics: where they are shown nowhere, on a port of this machine alone."""
    if settings.metrics.listen is not None:
        return settings
    metrics = settings.metrics.model_copy(update={"listen": _ANY_LOCAL_PORT})
    return settings.model_copy(update={"metrics": metrics})


@contextlib.contextmanager
def console_beside(
    settings: ServerConfig, listen: str | None, metrics_url: str, log_level: str
) -> Iterator[Callable[[str], None]]:
    """Runs the console of this server until the block is left; none if listen is None. Its settings beyond these are
    VOXLOOP_CONSOLE_*. It ends with this process, however that ends. Gives what is to be told the server's address.

    Raises ConfigError if the server keeps no state.
    """
    if listen is None:
        yield lambda _address: None
        return
    if not settings.store.is_on:
        raise ConfigError("--console shows what the server keeps, and this one keeps nothing; add --state DIR")
    command = [sys.executable, "-m", "voxloop_proto.cli", "console", "--until-stdin-closes", "--log-level", log_level]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=_environment(settings, listen, metrics_url))
    assert process.stdin is not None
    to_console = process.stdin

    def tell(address: str) -> None:
        open_address = plaintext_address(settings, address)
        if open_address is not None:
            with contextlib.suppress(OSError):  # a console that has ended is told nothing
                to_console.write(f"{open_address}\n".encode())
                to_console.flush()

    try:
        yield tell
    finally:
        with contextlib.suppress(OSError):
            to_console.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def plaintext_address(settings: ServerConfig, address: str) -> str | None:
    """Where a device on this machine may speak to the server unasked; None if it must show a token or speak TLS."""
    if not settings.insecure or settings.tokens is not None:
        return None
    host, _, port = address.rpartition(":")
    reachable = f"{_LOOPBACK_OF.get(host, host)}:{port}"
    return reachable if is_loopback(reachable) else None


def _environment(settings: ServerConfig, listen: str, metrics_url: str) -> dict[str, str]:
    """What the console is told, in the environment: an URL may hold a password, which a command line would show."""
    store = settings.store
    told = {
        "LISTEN": listen,
        "METRICS": metrics_url,
        "STORE__STATE": str(store.state.absolute()) if store.state else None,
        "STORE__URL": store.url.get_secret_value() if store.url else None,
        "STORE__CLIPS_URL": store.clips_url,
        "TOKENS": str(settings.tokens.absolute()) if settings.tokens else None,
        "AUDIT_LOG": str(settings.audit_log.absolute()) if settings.audit_log else None,
        "CERTIFICATE": str(settings.tls.certificate) if settings.tls.certificate else None,
        "KEY": str(settings.tls.key) if settings.tls.key else None,
        "RULES": str(settings.alarms.rules.absolute()) if settings.alarms.rules else None,
    }
    return {f"VOXLOOP_CONSOLE_{name}": value for name, value in told.items() if value is not None} | dict(os.environ)
