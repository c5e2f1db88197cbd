"""Ctrl-C and SIGTERM as a wish that the training loop grants after its step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit code of a run that was asked to stop."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """False until somebody asks."""

    def __init__(self) -> None:
        self._made = False

    def __call__(self) -> bool:
        return self._made

    def make(self, *_: object) -> None:
        """Takes, and ignores, what a signal handler is given."""
        self._made = True


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch the signals inside of the block; a second Ctrl-C changes nothing."""
    request = StopRequest()
    before = {number: signal.signal(number, request.make) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
