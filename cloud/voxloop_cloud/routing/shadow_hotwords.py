"""Hotwords of sessions, made ready for the bundles that listen in: once, not for each segment."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from voxloop_cloud.engine import Engine
from voxloop_cloud.hotword_list import HotwordList

if TYPE_CHECKING:  # at run time only bundles of phones load what searches
    from voxloop_cloud.hotwords import Hotwords

MOST_READY: Final = 32


class ShadowHotwords:
    """The last ones that were asked for. Bounded by MOST_READY; holds on to their bundles until `clear`."""

    def __init__(self) -> None:
        self._ready: OrderedDict[tuple[Engine, HotwordList], Hotwords | None] = OrderedDict()

    async def of(self, engine: Engine, asked: HotwordList | None) -> "Hotwords | None":
        """A session's, for a bundle. Raises as Engine.prepare."""
        if asked is None:
            return None
        key = (engine, asked)
        if key not in self._ready:
            self._ready[key] = await engine.prepare(asked)
            while len(self._ready) > MOST_READY:
                self._ready.popitem(last=False)
        self._ready.move_to_end(key)
        return self._ready[key]

    def clear(self) -> None:
        """Forgets them all."""
        self._ready.clear()
