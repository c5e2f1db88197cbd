"""The one page for those who are not signed in."""

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from voxloop_cloud.console.door import COOKIE
from voxloop_cloud.console.page import TEMPLATES, Ask, page, read_form
from voxloop_cloud.console.sources import Sources
from voxloop_proto.errors import OverloadError, VoxloopError


async def _show(request: Request) -> Response:
    return _form(request, back=request.query_params.get("back", ""))


async def _enter(request: Request) -> Response:
    sources: Sources = request.app.state.sources
    back = ""
    try:
        form = await read_form(request)
        back = form.get("back", "")
        address = request.client.host if request.client else ""
        cookie = await run_in_threadpool(
            sources.door.sign_in, form.get("name", ""), form.get("secret", "").strip(), address
        )
    except VoxloopError as error:
        return _form(request, back, error.message, 429 if isinstance(error, OverloadError) else 403)
    answer = RedirectResponse(back if is_own_path(back) else "/utterances", 303)
    lifetime_s = round(sources.config.session_hours * 3_600)
    is_https = sources.config.is_https
    answer.set_cookie(COOKIE, cookie, max_age=lifetime_s, httponly=True, samesite="strict", secure=is_https)
    return answer


def _leave(ask: Ask) -> Response:
    ask.sources.door.sessions.end_of(ask.user)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=ask.sources.config.is_https)
    return answer


def is_own_path(path: str) -> bool:
    """Whether a browser that is sent there stays at the console."""
    return path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()


def _form(request: Request, back: str, message: str = "", status: int = 200) -> HTMLResponse:
    config = request.app.state.sources.config
    text = TEMPLATES.get_template("sign_in.html").render(
        back=back, message=message, takes_tokens=config.tokens is not None
    )
    return HTMLResponse(text, status)


ROUTES: Final[tuple[Route, ...]] = (
    Route("/sign-in", _show, methods=["GET"]),
    Route("/sign-in", _enter, methods=["POST"]),
    page("/sign-out", _leave, posts=True),
)
OPEN_PATHS: Final = ("/sign-in",)
