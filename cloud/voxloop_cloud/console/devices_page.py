"""The page of devices: who speaks to this server, with what, and how it goes."""

from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from voxloop_cloud.console.device_list import list_devices
from voxloop_cloud.console.page import Ask, page
from voxloop_proto.errors import ConfigError

SPANS_S: Final = {"hour": 3_600.0, "day": 86_400.0, "week": 604_800.0, "month": 2_592_000.0}
MOST: Final = 500


def _span(ask: Ask) -> str:
    span = ask.query.get("span", "day")
    if span not in SPANS_S:
        raise ConfigError(f"span = {span[:20]!r}; allowed are {', '.join(SPANS_S)}")
    return span


def _show(ask: Ask) -> Response:
    return ask.show("devices.html", span=_span(ask), spans=tuple(SPANS_S))


def _list(ask: Ask) -> Response:
    """The table, once the page is there: it goes over all utterances of the span."""
    found = list_devices(ask.sources.engine, ask.sources.now_s() - SPANS_S[_span(ask)], MOST)
    return ask.show("device_rows.html", devices=found, most=MOST)


ROUTES: Final[tuple[Route, ...]] = (page("/devices", _show), page("/devices/list", _list))
