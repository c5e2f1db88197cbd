"""The server that started this console, at the other end of standard input."""

import asyncio
import os
from collections.abc import Callable

MOST_ADDRESS_BYTES = 256


class Parent:
    """It says on a line which address a browser's microphone may speak to; when its end closes, the console ends."""

    def __init__(self, file: int, on_address: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._file = file
        self._on_address = on_address
        self._on_end = on_end
        self._said = b""

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listens from now on."""
        loop.add_reader(self._file, self._read, loop)

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        found = os.read(self._file, 4096)
        if not found:
            loop.remove_reader(self._file)
            self._on_end()
            return
        *lines, rest = (self._said + found).split(b"\n")
        self._said = rest[-MOST_ADDRESS_BYTES:]
        for line in lines:
            self._on_address(line.decode("ascii", "replace").strip())
