"""How a page is answered: signed in, its form checked, rendered. Every page but sign-in goes through here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from voxloop_cloud.console.door import COOKIE
from voxloop_cloud.console.sessions import SignedIn
from voxloop_cloud.console.sources import Sources
from voxloop_proto.errors import (
    ConfigError,
    ContractError,
    DataError,
    OverloadError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    VoxloopError,
)

MOST_FORM_BYTES: Final = 64 << 10
MOST_FIELDS: Final = 100
_log = structlog.get_logger("voxloop.console")

_STATUS: Final[Mapping[type[VoxloopError], int]] = {
    ConfigError: 400,
    ContractError: 400,
    UnauthenticatedError: 401,
    PermissionDeniedError: 403,
    DataError: 404,
    OverloadError: 429,
    UnavailableError: 503,
}


@dataclass(frozen=True, slots=True)
class Ask:
    """What a browser asks for. form: empty unless it was posted."""

    sources: Sources
    user: SignedIn
    here: str
    path: Mapping[str, Any]
    query: QueryParams
    headers: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)

    def show(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page made from a template."""
        return HTMLResponse(self.render(template, **values), status)

    def render(self, template: str, **values: Any) -> str:
        """A page's text."""
        return TEMPLATES.get_template(template).render(
            user=self.user, here=self.here, now_s=self.sources.now_s(), query=self.query, csrf=self._csrf, **values
        )

    def _csrf(self) -> Markup:
        """The field that each form carries."""
        return Markup('<input type="hidden" name="csrf" value="{}">').format(self.user.csrf)


Answer = Callable[[Ask], Response]
"""Of a page; called in a thread, as it asks the database."""


def page(path: str, answer: Answer, *, posts: bool = False) -> Route:
    """A page for those who are signed in. posts: it changes something, and takes only a form with this browser's CSRF
    token."""

    async def endpoint(request: Request) -> Response:
        ask = signed_in(request)
        if ask is None:
            return _send_to_door(request)
        try:
            if posts:
                ask = replace(ask, form=await _read_own_form(request, ask.user))
            return await run_in_threadpool(answer, ask)
        except VoxloopError as error:
            return ask.show("error.html", _STATUS.get(type(error), 500), message=error.message)
        except SQLAlchemyError as error:
            _log.error("console.store_away", error=str(getattr(error, "orig", error)).split("\n", 1)[0][:300])
            return ask.show("error.html", 503, message="the store is away; try again in a moment")

    return Route(path, endpoint, methods=["POST"] if posts else ["GET"], name=path)


def signed_in(request: HTTPConnection) -> Ask | None:
    """What is asked for by whoever is signed in at this browser; None: nobody is."""
    sources: Sources = request.app.state.sources
    user = sources.door.sessions.find(request.cookies.get(COOKIE), sources.door.clock())
    if user is None:
        return None
    return Ask(sources, user, request.url.path, request.path_params, request.query_params, request.headers)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a posted form. Raises ContractError for one that is too large or none."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MOST_FORM_BYTES:
            raise ContractError(f"a form of more than {MOST_FORM_BYTES} bytes")
    try:
        return dict(parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise ContractError(f"this is no form: {error}") from None


async def _read_own_form(request: Request, user: SignedIn) -> dict[str, str]:
    form = await read_form(request)
    if not user.made(form.get("csrf", "")):
        raise PermissionDeniedError("this form is not from this browser's session of the console; load the page again")
    return form


def _send_to_door(request: Request) -> Response:
    """To sign in, and then back; a part of a page cannot be shown, so the whole page is sent there."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = f"/sign-in?{urlencode({'back': back})}" if request.method == "GET" else "/sign-in"
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
    return RedirectResponse(target, 303)


def back_to(path: str) -> RedirectResponse:
    """After a change: the page that shows it."""
    return RedirectResponse(path, 303)


def number(text: str | None, name: str, *, least: float | None = None, most: float | None = None) -> float | None:
    """A number from a form; None if it is empty. Raises ConfigError for anything else."""
    if text is None or not text.strip():
        return None
    try:
        found = float(text)
    except ValueError:
        raise ConfigError(f"{name} = {text[:40]!r}; allowed is a number") from None
    if not ((least is None or found >= least) and (most is None or found <= most)):
        raise ConfigError(f"{name} = {found:g}; allowed are {least:g} to {most:g}")
    return found


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _figure(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}" if abs(value) >= 0.001 or value == 0 else "0"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100.0 * value:.3g} %"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("voxloop_cloud.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": _moment,
        "ago": _ago,
        "figure": _figure,
        "percent": _percent,
        "in_url": lambda text: quote(str(text), safe=""),
        "json": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    }
    return environment


TEMPLATES: Final = _environment()
