"""Dates that only go forward: alarms outlive their process, and a clock that is set must not end them."""

import time


class SteadyClock:
    """The date at the process's start, and the monotonic time since."""

    def __init__(self) -> None:
        self._begin_s = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Seconds since 1970, UTC; each call gives at least what the one before gave."""
        return self._begin_s + time.monotonic()
