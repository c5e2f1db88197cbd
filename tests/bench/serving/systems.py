"""The systems that are compared, each as processes of its own, pinned to cores."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
MESSAGE_MS = 200
"""Sound in a message of either client: a device's default, and not to the peer's disadvantage, whose own has 100 ms."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all systems are given. server_cores, client_cores: lists as of taskset, such as "0,1"."""

    bundle: Path
    audio: Path
    server_cores: str
    client_cores: str
    seconds: float
    warm_up_s: float

    @property
    def cores(self) -> int:
        """Cores of the server."""
        return len(self.server_cores.split(","))

    def run(self, module: str, *arguments: object, cores: str) -> dict[str, Any]:
        """A module's one JSON line."""
        done = subprocess.run(
            _command(module, arguments, cores), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=_quiet()
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def run_on_each(self, module: str, *arguments: object) -> list[dict[str, Any]]:
        """A module's JSON line of each of the server's cores, all run at the same time."""
        commands = [_command(module, arguments, core) for core in self.server_cores.split(",")]
        running = [
            subprocess.Popen(each, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_quiet()) for each in commands
        ]
        said = [process.communicate()[0] for process in running]
        if any(process.returncode for process in running):
            raise RuntimeError(f"{module} failed; it said why above")
        return [dict(json.loads(each.splitlines()[-1])) for each in said]

    @contextmanager
    def serve(self, module: str, *arguments: object, cores: str | None = None) -> Iterator[str]:
        """A server until the block is left; gives its address."""
        command = _command(module, arguments, cores or self.server_cores)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_quiet())
        assert process.stdout is not None
        try:
            found = re.search(r"listening on ([^\s,]+)", process.stdout.readline())
            if found is None:
                raise RuntimeError(f"{module} did not start")
            yield found.group(1)
        finally:
            process.terminate()
            process.wait(timeout=60)
            process.stdout.close()


@dataclass(slots=True)
class System:
    """A server that is found under load: `open` starts it and gives the client's arguments."""

    name: str
    client: str
    server: str
    arguments: tuple[object, ...]
    one_per_core: bool = False
    note: str = ""
    tried: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def open(self, bench: Bench) -> Iterator[list[str]]:
        """Its processes; with one_per_core one pinned to each core."""
        places = bench.server_cores.split(",") if self.one_per_core else [bench.server_cores]
        with ExitStack() as stack:
            addresses = [
                stack.enter_context(bench.serve(self.server, *self.arguments, cores=place)) for place in places
            ]
            if self.client.endswith("sherpa_client"):
                yield [part for address in addresses for part in ("--port", address.rpartition(":")[2])]
            else:
                yield ["--server", addresses[0]]

    def try_streams(self, bench: Bench, where: list[str], streams: int) -> dict[str, Any]:
        """So many streams at it."""
        return bench.run(
            self.client,
            *where,
            *("--audio", bench.audio, "--streams", streams, "--message-ms", MESSAGE_MS),
            *("--seconds", bench.seconds, "--warm-up-s", bench.warm_up_s),
            cores=bench.client_cores,
        )


def voxloop(bench: Bench) -> System:
    """Ours: a worker for each core."""
    flags = ("serve", "--insecure", "--listen", "127.0.0.1:0", "--log-level", "error", "--bundle", bench.bundle)
    workers = ("--workers", bench.cores) if bench.cores > 1 else ()
    return System("voxloop", "tests.bench.serving.voxloop_client", "voxloop_proto.cli", (*flags, *workers))


def sherpa(bench: Bench) -> list[System]:
    """The peer's ways: as its example has it, and on several cores with threads inside, or a server for each core."""
    common = ("--bundle", bench.bundle, "--port", 0, "--layout", "nemo", "--max-batch-size", 50)
    server, client = "tests.bench.serving.sherpa_server", "tests.bench.serving.sherpa_client"
    if bench.cores == 1:
        return [System(f"sherpa, wait {wait} ms", client, server, (*common, "--max-wait-ms", wait)) for wait in (10, 2)]
    pool = ("--nn-pool-size", bench.cores)
    return [
        System("sherpa, a server for each core", client, server, common, one_per_core=True),
        System("sherpa, a pool of threads", client, server, (*common, *pool)),
    ]


def _command(module: str, arguments: tuple[object, ...], cores: str) -> list[str]:
    return ["taskset", "-c", cores, sys.executable, "-m", module, *map(str, arguments)]


def _quiet() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "GRPC_VERBOSITY": "ERROR"}
