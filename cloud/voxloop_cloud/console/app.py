"""The console as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxloop_cloud.console import (
    alarms_page,
    deployments_page,
    devices_page,
    drift_page,
    microphone_page,
    pipeline_page,
    reviews_page,
    sign_in_page,
    utterance_list,
    utterance_page,
)
from voxloop_cloud.console.sources import Sources

STATIC: Final = Path(__file__).with_name("static")

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""With every answer. The policy lets a browser ask nobody else, and run nothing that stands in a page."""


class SecurityHeaders:
    """Adds HEADERS; pages are not kept by browsers, static files are for an hour."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cache = "private, max-age=3600" if scope["path"].startswith("/static/") else "no-store"
        added = [
            (name.lower().encode(), value.encode()) for name, value in (HEADERS | {"Cache-Control": cache}).items()
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def routes() -> list[BaseRoute]:
    """All pages."""
    return [
        *sign_in_page.ROUTES,
        *utterance_list.ROUTES,
        *utterance_page.ROUTES,
        *pipeline_page.ROUTES,
        *deployments_page.ROUTES,
        *reviews_page.ROUTES,
        *alarms_page.ROUTES,
        *devices_page.ROUTES,
        *drift_page.ROUTES,
        *microphone_page.ROUTES,
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]


def make_app(sources: Sources) -> Starlette:
    """The application. While it runs, the server's metrics are read."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        reading = asyncio.create_task(sources.meter.run(), name="meter")
        try:
            yield {}
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    app = Starlette(routes=routes(), middleware=[Middleware(SecurityHeaders)], lifespan=lifespan)
    app.state.sources = sources
    return app
