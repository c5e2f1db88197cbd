"""A server of one's own for `--local`: a real second process on a free port of this machine."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voxloop_proto.errors import ERROR_TABLE, UnavailableError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_MOST_BYTES = 8_192  # of last words that are kept
_MOST_LINES = 20  # of them that are told
_NO_LIMITS = {
    "VOXLOOP_LIMITS__MAX_BYTES_PER_MINUTE": str(1 << 40),
    "VOXLOOP_LIMITS__MAX_SEGMENTS_PER_MINUTE": str(1 << 30),
}
_READY = re.compile(r"listening on (\S+)")


@asynccontextmanager
async def open_local_server(bundle: str | None = None) -> AsyncIterator[str]:
    """A `voxloop serve` in a process of its own; gives its address, stops it when the block is left.

    The process also ends when this one dies, however it dies, because its standard input closes then.
    Raises, with the server's own words, the error that its exit code stands for if it does not start, and
    UnavailableError if it ends before the block does: the block is cancelled then.
    """
    command = [sys.executable, "-m", "voxloop_proto.cli", "serve", "--insecure", "--listen", "127.0.0.1:0"]
    command += ["--log-level", "warning", "--until-stdin-closes"]
    command += ["--bundle", bundle] if bundle else []
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_environment(), start_new_session=True
    )
    last_words = bytearray()
    listener = asyncio.create_task(_keep_last_words(process, last_words), name="local server's stderr")
    try:
        address = await _address(process, last_words, listener)
        async with _cancelled_at_end_of(process):
            yield address
    except _EndedError:
        said = await _said(process, last_words, listener)
        raise UnavailableError(f"the local server ended in the middle of the run: {said}") from None
    finally:
        await _stop(process)
        await listener


class _EndedError(Exception):
    """The server's process has ended."""


@asynccontextmanager
async def _cancelled_at_end_of(process: Process) -> AsyncIterator[None]:
    """Cancels the block when the process ends, and raises _EndedError then; as asyncio.timeout does at its time."""
    owner = asyncio.current_task()
    assert owner is not None
    ended = False

    async def watch() -> None:
        nonlocal ended
        await process.wait()
        ended = True
        owner.cancel()

    watcher = asyncio.create_task(watch(), name="local server's end")
    try:
        yield
    except asyncio.CancelledError:
        if ended and owner.uncancel() == 0:  # else somebody else cancelled it as well
            raise _EndedError from None
        raise
    finally:
        watcher.cancel()


def _environment() -> dict[str, str]:
    """The environment without the settings of the device, which `voxloop serve` would refuse as unknown.

    The limits of a device's minute are lifted: this server is its only user's own, and may be fed as fast as it can.
    """
    own = {name: text for name, text in os.environ.items() if not (name.startswith("VOXLOOP_") and "__" in name)}
    return own | _NO_LIMITS


async def _address(process: Process, last_words: bytearray, listener: "asyncio.Task[None]") -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
    except TimeoutError:
        raise UnavailableError(f"the local server did not get ready within {START_TIMEOUT_S:.0f} s") from None
    found = _READY.search(line)
    if found is None:
        said = await _said(process, last_words, listener)
        meant = (row.error for row in ERROR_TABLE if row.exit_code == process.returncode)
        raise next(meant, UnavailableError)(f"the local server did not start: {said}")
    return found.group(1)


async def _said(process: Process, last_words: bytearray, listener: "asyncio.Task[None]") -> str:
    """The last words of a process that ends, or else its exit code."""
    await process.wait()
    await asyncio.wait([listener])
    lines = last_words.decode(errors="replace").strip().splitlines()
    return "\n".join(lines[-_MOST_LINES:]) or f"exit code {process.returncode}"


async def _keep_last_words(process: Process, last_words: bytearray) -> None:
    assert process.stderr is not None
    while block := await process.stderr.read(_MOST_BYTES):
        last_words += block
        del last_words[:-_MOST_BYTES]


async def _stop(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
