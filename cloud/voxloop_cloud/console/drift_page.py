"""What has changed in what devices send, and at which stage that began."""

from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from voxloop_cloud.console.page import Ask, page
from voxloop_cloud.drift.drift_store import read_drifts

DAYS: Final = 90.0
MOST: Final = 200


def _show(ask: Ask) -> Response:
    since_s = ask.sources.now_s() - DAYS * 86_400.0
    return ask.show("drift.html", drifts=read_drifts(ask.sources.engine, since_s, MOST), days=DAYS)


ROUTES: Final[tuple[Route, ...]] = (page("/drift", _show),)
