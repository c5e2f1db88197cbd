"""The device that a browser's microphone is: `voxloop listen` in a process of its own, with a pipe for a microphone.

So the browser's sound goes through the very stages that a device's does, and the console needs none of their libraries.
"""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Final

from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_proto.errors import UnavailableError

TERMS_VERSION: Final = "browser-1"
"""Of the words beside the box on the page that lets sound and text be kept. Other words are another version."""

END_S: Final = 1.0
"""For a device to end by itself when it is told to; then it is killed. Less than the console's own GRACE_S."""

MOST_LINE_BYTES: Final = 1 << 20
MOST_COMPLAINT_BYTES: Final = 4_096
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a browser asks for. rate_hz: of its samples. keeps: sound and text may be kept."""

    rate_hz: int
    keeps: bool


def why_not(config: ConsoleConfig, server: str | None) -> str:
    """What is missing for a microphone, and what to do; empty: nothing. server: that takes plaintext."""
    if config.microphones == 0:
        return "Microphones of browsers are switched off here: the setting microphones is 0."
    if not _is_listen_there():
        return "'voxloop listen' is not installed beside this console; install it with: pip install 'voxloop[edge]'"
    if config.device is None and server is None:
        return (
            "This console knows no server that a browser may speak to unasked. Give it the settings of a device, as "
            "'voxloop listen --config' takes them, with the server's address, its CA and a token of its own: "
            "voxloop console --device FILE, or VOXLOOP_CONSOLE_DEVICE for the console of 'voxloop serve'."
        )
    return ""


def device_name(name: str) -> str:
    """The device that somebody's browser is, where the settings name none."""
    return f"browser-{_NOT_IN_A_NAME.sub('-', name)}"[:64].rstrip("-")


def command_of(config: ConsoleConfig, wish: Wish) -> list[str]:
    """The command line; no secret is in it, nor in what it names but files."""
    listen = [sys.executable, "-m", "voxloop_proto.cli", "listen", "--json"]
    sound = ["--stdin", "s16le", "--rate", str(wish.rate_hz), "--channels", "1"]
    return [*listen, *sound, *(["--config", str(config.device.absolute())] if config.device else [])]


def environment_of(config: ConsoleConfig, server: str | None, speaker: str, wish: Wish) -> dict[str, str]:
    """What the device is told beside: consent is the speaker's own. The console's settings, its secrets among them, are
    not passed on."""
    keeps = str(wish.keeps).lower()
    told = {
        "DEVICE_KIND": "browser",
        "CONSENT__KEEP_AUDIO": keeps,
        "CONSENT__KEEP_TEXT": keeps,
        "CONSENT__TRAIN": "false",
        "CONSENT__TERMS_VERSION": TERMS_VERSION,
    }
    if config.device is None and server is not None:
        told |= {"DEVICE_ID": device_name(speaker), "CLIENT__SERVER": server, "CLIENT__INSECURE": "true"}
    others = {name: value for name, value in os.environ.items() if not name.startswith("VOXLOOP_")}
    return others | {f"VOXLOOP_{name}": value for name, value in told.items()}


class BrowserDevice:
    """A device that runs."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._in, self._out = process.stdin, process.stdout
        self._complaint = b""
        self._complaining = asyncio.create_task(self._listen_to_complaints(), name="device's complaints")

    async def hear(self, sound: bytes) -> None:
        """Gives it sound; waits until there is room in the pipe. Raises ConnectionError when it has ended."""
        self._in.write(sound)
        await self._in.drain()

    def finish(self) -> None:
        """No more sound comes: it waits for the last text, and ends."""
        self._in.close()

    async def lines(self) -> AsyncIterator[bytes]:
        """What it prints, until it ends."""
        while line := await self._out.readline():
            yield line

    async def fault(self) -> str:
        """Why it has ended, in its own words; empty: as it should."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(self._complaining, self.process.wait()), END_S)
        code = self.process.returncode
        if not code:
            return ""
        if code < 0:
            return f"the device's process was ended by signal {-code}"
        said = self._complaint.decode("utf-8", "replace").strip().removeprefix("voxloop: ")
        return said or f"the device's process ended with exit code {code}"

    async def _listen_to_complaints(self) -> None:
        """Keeps the newest of what it says on standard error."""
        assert self.process.stderr is not None
        while said := await self.process.stderr.read(MOST_COMPLAINT_BYTES):
            self._complaint = (self._complaint + said)[-MOST_COMPLAINT_BYTES:]

    async def end(self) -> None:
        """Sees it out: asked first, then killed. Whatever it still says is not heard."""
        self._in.close()
        emptying = asyncio.create_task(self._empty(), name="device's rest")
        try:
            self._send(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), END_S)
        finally:
            self._send(signal.SIGKILL)
            await self.process.wait()
            for task in (emptying, self._complaining):
                task.cancel()
            await asyncio.gather(emptying, self._complaining, return_exceptions=True)

    def _send(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def _empty(self) -> None:
        while await self._out.read(MOST_LINE_BYTES):
            pass


@asynccontextmanager
async def running_device(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[BrowserDevice]:
    """A device, which has ended when the block is left. In a session of its own: a terminal's Ctrl-C is the console's,
    which then ends it; and if the console is killed, the end of standard input ends it.

    Raises UnavailableError if it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            limit=MOST_LINE_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"'voxloop listen' cannot be started: {error.strerror}") from error
    device = BrowserDevice(process)
    try:
        yield device
    finally:
        await device.end()


def _is_listen_there() -> bool:
    found = entry_points(group="voxloop.commands", name="listen")
    return any(find_spec(point.module.partition(".")[0]) is not None for point in found)
