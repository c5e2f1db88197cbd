"""A server of one's own for `--local`: a real second process on a free port of this machine."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voxloop_proto.errors import UnavailableError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_READY = re.compile(r"listening on (\S+)")


@asynccontextmanager
async def open_local_server(bundle: str | None = None) -> AsyncIterator[str]:
    """A `voxloop serve` in a process of its own; gives its address, stops it when the block is left.

    The process also ends when this one dies, however it dies, because its standard input closes then.
    Raises UnavailableError with the server's own words if it does not start.
    """
    command = [sys.executable, "-m", "voxloop_proto.cli", "serve", "--listen", "127.0.0.1:0"]
    command += ["--log-level", "warning", "--until-stdin-closes"]
    command += ["--bundle", bundle] if bundle else []
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ, start_new_session=True
    )
    last_words: deque[str] = deque(maxlen=20)
    listener = asyncio.create_task(_keep_last_words(process, last_words), name="local server's stderr")
    try:
        yield await _address(process, last_words, listener)
    finally:
        await _stop(process)
        await listener


async def _address(process: Process, last_words: deque[str], listener: "asyncio.Task[None]") -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
    except TimeoutError:
        raise UnavailableError(f"the local server did not get ready within {START_TIMEOUT_S:.0f} s") from None
    found = _READY.search(line)
    if found is None:
        await process.wait()
        await asyncio.wait([listener])
        said = "\n".join(last_words) or f"exit code {process.returncode}"
        raise UnavailableError(f"the local server did not start: {said}")
    return found.group(1)


async def _keep_last_words(process: Process, last_words: deque[str]) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        last_words.append(line.decode(errors="replace").rstrip())


async def _stop(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
