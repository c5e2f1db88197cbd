"""What a browser is yet to be told, bounded."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from voxloop_proto.errors import OverloadError

MOST_WAITING: Final = 200
NEWEST_COUNTS: Final = frozenset({"level", "hypothesis", "dropped"})
"""Events whose older ones nobody misses: a browser that reads slowly is told the newest."""


class News:
    """Events in their order, each once. Of NEWEST_COUNTS one waits, of each segment."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting: OrderedDict[tuple[object, ...], str] = OrderedDict()
        self._added = 0
        self._changed = asyncio.Event()
        self._is_closed = False

    def add(self, event: Mapping[str, object]) -> None:
        """One more. Raises OverloadError if too many wait that cannot be left out."""
        self._added += 1
        kind = event.get("event")
        key = (kind, event.get("segment")) if kind in NEWEST_COUNTS else (self._added,)
        self._waiting.pop(key, None)
        if len(self._waiting) >= self._most:
            raise OverloadError(f"{self._most} events wait for this browser, which does not read them")
        self._waiting[key] = json.dumps(event, ensure_ascii=False)
        self._changed.set()

    def close(self) -> None:
        """No more come."""
        self._is_closed = True
        self._changed.set()

    async def take(self) -> str | None:
        """The next event, as JSON; None when all were taken and no more come."""
        while not self._waiting:
            if self._is_closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popitem(last=False)[1]
