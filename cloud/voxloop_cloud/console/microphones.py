"""The microphones of browsers that are open at this console, and the server that they speak to."""

from collections.abc import Iterator
from contextlib import contextmanager

from voxloop_proto.errors import OverloadError


class Microphones:
    """Counted, as each is a process. server: address of a server that takes plaintext; None: none is known."""

    def __init__(self, server: str | None = None) -> None:
        self.server = server
        self.open = 0

    def speak_to(self, server: str) -> None:
        """From now on to this one."""
        self.server = server

    @contextmanager
    def place(self, most: int) -> Iterator[None]:
        """Room for one more, until the block is left. Raises OverloadError if `most` are open."""
        if self.open >= most:
            raise OverloadError(
                f"{self.open} microphones are open at this console, the most allowed; try again when one is closed"
            )
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
