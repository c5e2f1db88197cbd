"""Several processes on one port, for more than one core: each serves its own sessions with the one loaded bundle.

The bundle is loaded once and the workers are forked from that process, so what is only read (the decoding graph above
all) is in memory once. The kernel shares connections out among them. A worker that dies is replaced; its sessions come
back to another, and their devices send again what was unanswered.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import structlog

from voxloop_proto.errors import ConfigError, VoxloopError, row_of

QUICK_DEATH_S = 5.0
"""A worker that lived no longer is replaced only after a wait, lest a broken one be forked without end."""

_POLL_S = 0.1
_log = structlog.get_logger("voxloop.workers")

Serve = Callable[[int, int, Callable[[], None]], None]
"""What a worker does. Its place is a number below the count of workers, which whoever replaces it has after it.
It serves until a signal asks it to stop or the file with the second number ends, which is when its parent does, however
that dies; and calls the third argument once it takes calls."""


@contextmanager
def reserved_port(listen: str) -> Iterator[str]:
    """Holds a port that several processes may then listen on (SO_REUSEPORT); gives its address, the port a number.

    Raises ConfigError if the port is taken, by another server too, or not this machine's.
    """
    host, _, port = listen.rpartition(":")
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    try:
        with socket.socket(family) as alone:  # without SO_REUSEPORT: fails if anybody listens there already
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((bare, int(port)))
            number = alone.getsockname()[1]
        with socket.socket(family) as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((bare, number))
            yield f"{host}:{number}"
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {listen} ({error.strerror}): the port is taken or the address is not this machine's; "
            "name another with --listen HOST:PORT (port 0 takes a free one)"
        ) from error


@dataclass(slots=True)
class Workers:
    """The parent's view: forks, waits, passes signals on, replaces the dead."""

    serve: Serve
    count: int
    on_end: Callable[[int], None] = lambda _: None  # is told the place of one that has ended, before it is replaced
    _began: dict[int, tuple[int, float]] = field(default_factory=dict)  # by process id: its place, when it began
    _is_stopping: bool = False
    _ready: tuple[int, int] = (-1, -1)
    _alive: tuple[int, int] = (-1, -1)

    def run(self, on_ready: Callable[[], None]) -> int:
        """Serves until all workers have ended; returns the exit code. on_ready: called once all take calls."""
        self._ready, self._alive = os.pipe(), os.pipe()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._pass_on)
        for place in range(self.count):
            self._fork(place)
        failed = self._await_ready()
        if failed is not None:
            self._pass_on(signal.SIGTERM)
        elif not self._is_stopping:
            on_ready()
        code = self._await_end()
        return code if failed is None else failed

    def _fork(self, place: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            self._become_worker(place)
        self._began[process] = (place, time.monotonic())

    def _become_worker(self, place: int) -> None:
        """Never returns. A session of its own, so that Ctrl-C reaches the parent alone, which passes it on."""
        code = 1
        try:
            os.setsid()
            os.close(self._alive[1])
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            self.serve(place, self._alive[0], self._say_ready)
            code = 0
        except VoxloopError as error:
            print(f"voxloop: {error.message}", file=sys.stderr)  # noqa: T201 (a worker's last words)
            code = row_of(error).exit_code
        except BaseException:  # noqa: BLE001 (the process's boundary: the parent sees the exit code)
            _log.exception("worker.crashed")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _say_ready(self) -> None:
        os.write(self._ready[1], b".")

    def _await_ready(self) -> int | None:
        """Waits until all have said that they are ready; the exit code of one that has ended before, if any."""
        missing = self.count
        while missing:
            if select.select([self._ready[0]], [], [], _POLL_S)[0]:
                missing -= len(os.read(self._ready[0], missing))
            process, status = os.waitpid(-1, os.WNOHANG)
            if process in self._began:  # the console is a child, too
                del self._began[process]
                return os.waitstatus_to_exitcode(status)
        return None

    def _await_end(self) -> int:
        worst = 0
        while self._began:
            process, status = os.waitpid(-1, 0)
            if process not in self._began:
                continue
            place, began_s = self._began.pop(process)
            lived_s = time.monotonic() - began_s
            self.on_end(place)
            code = os.waitstatus_to_exitcode(status)
            if code == 0 or self._is_stopping:
                worst = worst or code
                continue
            _log.error("worker.died", process=process, exit_code=code, lived_s=round(lived_s, 1))
            time.sleep(max(0.0, QUICK_DEATH_S - lived_s))
            if not self._is_stopping:
                self._fork(place)
        return worst

    def _pass_on(self, number: int, _frame: FrameType | None = None) -> None:
        self._is_stopping = True
        for process in list(self._began):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
