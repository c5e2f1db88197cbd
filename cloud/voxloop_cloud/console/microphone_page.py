"""Try it: speak into the browser's microphone, and see segments and text as they form."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from voxloop_cloud.console.bridge import Bridge, Patience
from voxloop_cloud.console.browser_device import Wish, command_of, device_name, environment_of, running_device, why_not
from voxloop_cloud.console.page import Ask, page, signed_in
from voxloop_cloud.console.sessions import SignedIn
from voxloop_proto.errors import ContractError, PermissionDeniedError, UnavailableError, VoxloopError

FIRST_MESSAGE_S: Final = 10.0
LAST_MESSAGE_S: Final = 2.0
LEAST_RATE_HZ: Final = 8_000
MOST_RATE_HZ: Final = 192_000
MOST_WISH_CHARACTERS: Final = 1_000
_log = structlog.get_logger("voxloop.console")


def _show(ask: Ask) -> Response:
    config, microphones = ask.sources.config, ask.sources.microphones
    return ask.show(
        "try.html",
        why_not=why_not(config, microphones.server),
        device=device_name(ask.user.name) if config.device is None else None,
        keeps_clips=ask.sources.clips is not None,
        longest_s=config.microphone_s,
    )


async def _speak(websocket: WebSocket) -> None:
    """One microphone, from its start to its end. Strangers and pages of other sites are refused before it opens."""
    ask = signed_in(websocket)
    if ask is None or not is_own_page(websocket.headers.get("origin", ""), websocket.headers.get("host", "")):
        _log.warning("console.microphone.refused", origin=websocket.headers.get("origin", "")[:200])
        await websocket.close()
        return
    await websocket.accept()
    began_s = time.monotonic()
    try:
        message = await _converse(websocket, ask)
    except WebSocketDisconnect:
        message = "the browser left"
    except VoxloopError as error:
        message = error.message
    _log.info("console.microphone", name=ask.user.name, open_s=round(time.monotonic() - began_s, 1), end=message)
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):  # it has left, or does not read
        async with asyncio.timeout(LAST_MESSAGE_S):
            await websocket.send_json({"event": "over", "message": message})
            await websocket.close()


async def _converse(websocket: WebSocket, ask: Ask) -> str:
    """Why it is over; empty: because the speaker wanted it so."""
    config, microphones = ask.sources.config, ask.sources.microphones
    wish = await _hear_wish(websocket, ask.user)
    if missing := why_not(config, microphones.server):
        raise UnavailableError(missing)
    environment = environment_of(config, microphones.server, ask.user.name, wish)
    patience = Patience(longest_s=config.microphone_s)
    with microphones.place(config.microphones):
        async with running_device(command_of(config, wish), environment) as device:
            await Bridge(websocket, device, wish, patience, lambda: signed_in(websocket) is not None).run()
            return await device.fault()


async def _hear_wish(websocket: WebSocket, user: SignedIn) -> Wish:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            message = await websocket.receive()
    except TimeoutError:
        raise ContractError(f"the page has said nothing for {FIRST_MESSAGE_S:g} s; load it again") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    return read_wish(message.get("text") or "", user)


def read_wish(text: str, user: SignedIn) -> Wish:
    """What a page asks for in its first message. Raises ContractError or PermissionDeniedError if it may not."""
    try:
        found = json.loads(text) if len(text) <= MOST_WISH_CHARACTERS else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ContractError("the first message is no JSON object; load the page again")
    if not user.made(str(found.get("csrf", ""))):
        raise PermissionDeniedError("this page is not from this browser's session of the console; load it again")
    rate_hz = found.get("rate_hz")
    if not isinstance(rate_hz, int) or not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
        raise ContractError(f"rate_hz = {str(rate_hz)[:40]}; allowed are {LEAST_RATE_HZ} to {MOST_RATE_HZ}")
    return Wish(rate_hz, found.get("keeps") is True)


def is_own_page(origin: str, host: str) -> bool:
    """Whether a socket is opened by a page of this console: browsers send cookies with anybody's, and say whose it
    is."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc != "" and parts.netloc.lower() == host.lower()


ROUTES: Final[tuple[BaseRoute, ...]] = (page("/try", _show), WebSocketRoute("/try/sound", _speak))
