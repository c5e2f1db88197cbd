"""A session's hotwords are made ready once for each bundle, and a bundle that cannot have them gets none of it."""

import asyncio
from dataclasses import dataclass
from typing import Any

from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.routing.policy import Route
from voxloop_cloud.routing.segment_route import Routed, SegmentRoute
from voxloop_cloud.routing.session_route import SessionRoute
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb

ASKED = HotwordList((("hello",),), only=False)


@dataclass(frozen=True)
class Ready:
    """Hotwords for a bundle."""

    key: str
    hotwords: HotwordList
    count: int = 1


class Bundle:
    """One that can have hotwords or not, and notes how often it was asked."""

    def __init__(self, key: str, takes_hotwords: bool = True) -> None:
        self.key = key
        self.asked = 0
        self.begun: list[object] = []
        self._takes_hotwords = takes_hotwords

    async def prepare(self, hotwords: HotwordList) -> object:
        self.asked += 1
        if not self._takes_hotwords:
            raise ContractError("it has other tokens")
        return Ready(self.key, hotwords)

    def start_segment(self, hotwords: object) -> object:
        self.begun.append(hotwords)
        return object()


class Chosen:
    """Routes as the test has them."""

    def __init__(self, engine: Bundle, route: Route = Route.PRIMARY) -> None:
        self.routed = Routed(engine, route)  # type: ignore[arg-type]

    def route(self, *_: Any) -> Routed:
        return self.routed


def begun(session: SessionRoute) -> SegmentRoute:
    return asyncio.run(session.start(1))


def test_a_bundle_without_the_hotwords_is_asked_once_and_its_segments_go_where_they_went_before() -> None:
    old, unfit = Bundle("old@1"), Bundle("new@1", takes_hotwords=False)
    routes = Chosen(old)
    session = SessionRoute(routes, pb.Hello(), ASKED)
    asyncio.run(session.prepare())
    routes.routed = Routed(unfit, Route.CANARY, 7)  # type: ignore[arg-type]
    found = [begun(session).routed for _ in range(3)]
    assert {(each.engine.key, each.route, each.policy_version) for each in found} == {("old@1", Route.PRIMARY, 7)}
    assert (unfit.asked, old.asked) == (1, 1)
    assert old.begun == [Ready("old@1", ASKED)] * 3


def test_hotwords_are_made_ready_again_for_another_bundle_alone() -> None:
    old, new = Bundle("old@1"), Bundle("new@1")
    routes = Chosen(old)
    session = SessionRoute(routes, pb.Hello(), ASKED)
    asyncio.run(session.prepare())
    begun(session)
    routes.routed = Routed(new, Route.CANARY)  # type: ignore[arg-type]
    found = [begun(session).routed for _ in range(3)]
    assert {(each.engine.key, each.route) for each in found} == {("new@1", Route.CANARY)}
    assert (old.asked, new.asked) == (1, 1)
    assert new.begun == [Ready("new@1", ASKED)] * 3


def test_a_session_without_hotwords_asks_no_bundle() -> None:
    old = Bundle("old@1")
    session = SessionRoute(Chosen(old), pb.Hello(), None)
    assert asyncio.run(session.prepare()) == 0
    begun(session)
    assert (old.asked, old.begun) == (0, [None])
