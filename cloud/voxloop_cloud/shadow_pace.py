"""How often the recognition thread may turn to a shadow: whoever comes in such a turn waits for its end. Pure."""

from typing import Final

REST_S: Final = 0.001
"""Before each shadow's window the thread stands still for so long at least: on a busy core the event loop would not
come to bring what goes first."""

LONG_TURN_S: Final = 0.02
"""A turn beyond this, as that of an offline bundle's whole segment, is rested for ten times as long: whoever meets it
waits longer, so fewer may meet it."""

MOST_REST_S: Final = 5.0
"""However long a turn took: one may have waited for a disk."""


class ShadowPace:
    """Rests after each turn, so that shadows take no more than a share of the time.

    That share is how many of those who come meet a shadow's turn, which nothing interrupts; with a window of 4 ms and a
    tenth of the time nine in ten wait not at all, and the tenth for 2 ms on average.
    """

    def __init__(self, most_ratio: float = 1.0) -> None:
        """most_ratio: of the time, 0 to 1; at 1 there is only the shortest rest."""
        self._rests_of_a_turn = 1.0 / most_ratio - 1.0
        self._began_s: float | None = None
        self._rested_s = 0.0

    def begin(self, now_s: float) -> None:
        """A shadow's turn begins. now_s: by any steady clock, the same in all calls."""
        self._began_s = now_s

    def end(self, now_s: float) -> None:
        """Whatever turn there was has ended."""
        if self._began_s is None:
            return
        turn_s, self._began_s = now_s - self._began_s, None
        rests = self._rests_of_a_turn * (10.0 if turn_s > LONG_TURN_S else 1.0)
        self._rested_s = now_s + min(MOST_REST_S, rests * turn_s)

    def rest_s(self, now_s: float) -> float:
        """How long to stand still before the next turn."""
        return max(REST_S, self._rested_s - now_s)
