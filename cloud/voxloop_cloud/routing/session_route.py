"""One session's way to the bundles: segment after segment, with its hotwords ready for whichever answers."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from voxloop_cloud.engine import Engine
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.routing.policy import Route
from voxloop_cloud.routing.segment_route import Routed, SegmentRoute
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb

if TYPE_CHECKING:  # at run time only bundles of phones load what searches
    from voxloop_cloud.hotwords import Hotwords

_log = structlog.get_logger("voxloop.routing")


class Routes(Protocol):
    """What chooses the bundle of each segment."""

    def route(self, hello: pb.Hello, segment_id: int, hotwords: HotwordList | None) -> Routed:
        """Where a segment of a session goes, now. Cheap: it is asked at each segment's start."""
        ...


class OneBundle:
    """Routes where there is nothing to choose."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def route(self, hello: pb.Hello, segment_id: int, hotwords: HotwordList | None) -> Routed:  # noqa: ARG002
        """The one."""
        return Routed(self._engine)


class SessionRoute:
    """Starts a session's segments. Its hotwords are made ready once for each bundle that comes to answer it."""

    def __init__(self, routes: Routes, hello: pb.Hello, hotwords: HotwordList | None) -> None:
        self._routes = routes
        self._hello = hello
        self._asked = hotwords
        self._ready: Hotwords | None = None
        self._ready_for: _Answering | None = None
        self._unfit = ""  # the last bundle that could not have them

    async def prepare(self) -> int:
        """Makes the hotwords ready for the bundle that answers now; returns how many have an effect.

        Raises ContractError if it cannot say one, or cannot be limited to them.
        """
        if self._asked:
            await self._prepare(self._asked, self._routes.route(self._hello, 0, None))
        return self._ready.count if self._ready else 0

    async def start(self, segment_id: int) -> SegmentRoute:
        """A new segment, on its bundle. Raises UnavailableError when the recognizer is shutting down."""
        began_s = time.perf_counter()
        routed = self._routes.route(self._hello, segment_id, self._asked)
        busy_ms = (time.perf_counter() - began_s) * 1000.0
        if self._asked:
            routed = await self._with_hotwords(self._asked, routed)
        return SegmentRoute(routed, routed.engine.start_segment(self._ready), busy_ms)

    async def _with_hotwords(self, asked: HotwordList, routed: Routed) -> Routed:
        """A bundle that cannot have the session's hotwords does not get its segments: the last one that could does."""
        before, key = self._ready_for, routed.engine.key
        assert before is not None, "start before prepare"
        if routed.engine is before.engine:
            self._ready_for = _Answering(routed.engine, routed.route)
            return routed
        if key != self._unfit:
            try:
                await self._prepare(asked, routed)
            except ContractError as error:
                self._unfit = key
                _log.warning("hotwords.not_taken", bundle=key, stays_with=before.engine.key, error=error.message)
            else:
                return routed
        return replace(routed, engine=before.engine, route=before.route)

    async def _prepare(self, asked: HotwordList, routed: Routed) -> None:
        self._ready = await routed.engine.prepare(asked)
        self._ready_for = _Answering(routed.engine, routed.route)


@dataclass(frozen=True, slots=True)
class _Answering:
    """The bundle that the hotwords are ready for, and by which way it last answered."""

    engine: Engine
    route: Route
