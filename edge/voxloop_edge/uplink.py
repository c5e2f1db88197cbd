"""What a session's owner and its present connection share: what is to be sent, and the news that it has changed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from voxloop_edge.outbox import Outbox


@dataclass(slots=True)
class Uplink:
    """The outbox, whether more will come, and a count of what went over the wire, resent messages included.

    away_since_s: since when there is no connection, by time.monotonic; None while there is one.
    """

    outbox: Outbox
    away_since_s: float | None = None
    is_closing: bool = False
    sent_bytes: int = 0
    audio_bytes: int = 0
    connections: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def notify(self) -> None:
        """Something has changed: whoever waits looks again."""
        async with self._changed:
            self._changed.notify_all()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Waits for a change that makes the condition true."""
        async with self._changed:
            await self._changed.wait_for(condition)
