"""Between a browser's microphone and its device: sound one way, events the other. All that waits is bounded."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from voxloop_cloud.console.browser_device import BrowserDevice, Wish
from voxloop_cloud.console.news import News
from voxloop_proto.errors import ContractError, UnauthenticatedError, UnavailableError, VoxloopError

SAMPLE_BYTES: Final = 2
MOST_FRAME_BYTES: Final = 1 << 16
"""Of one message of sound; pages send 100 ms, 19,200 bytes at 96 kHz."""

MOST_FRAMES: Final = 100
"""Messages that wait for the device: ten seconds, as it takes one or two to start. Beyond it sound is dropped, and
told."""

_log = structlog.get_logger("voxloop.console")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one waits, in seconds. longest_s: a microphone is open; finish_s: for the last text, once no more sound
    comes; send_s: a browser takes to read an event."""

    longest_s: float
    finish_s: float = 20.0
    send_s: float = 10.0


class Bridge:
    """One microphone's."""

    def __init__(
        self,
        websocket: WebSocket,
        device: BrowserDevice,
        wish: Wish,
        patience: Patience,
        is_signed_in: Callable[[], bool],
    ) -> None:
        self._websocket = websocket
        self._device = device
        self._wish = wish
        self._patience = patience
        self._is_signed_in = is_signed_in
        self._sound: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_FRAMES + 1)  # one for the end
        self._is_over = asyncio.Event()
        self._dropped_bytes = 0
        self._news = News()

    async def run(self) -> None:
        """Until the device has ended, and the browser knows all that it said.

        Raises WebSocketDisconnect when the browser leaves, and what is wrong with what it sends or does not take.
        """
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell())
                others = [group.create_task(each) for each in (self._hear(), self._feed(), self._await_the_end())]
                async for line in self._device.lines():
                    self._take_line(line)
                self._news.close()
                for task in others:
                    task.cancel()
        except* (WebSocketDisconnect, VoxloopError) as several:
            failure = several.exceptions[0]
        if failure is not None:
            raise failure

    async def _hear(self) -> None:
        try:
            async with asyncio.timeout(self._patience.longest_s):
                while (sound := await self._receive()) is not None:
                    self._take_sound(sound)
        except TimeoutError:
            longest_s = self._patience.longest_s
            self._news.add({"event": "notice", "message": f"a microphone stays open for {longest_s:g} s at most"})
        self._sound.put_nowait(None)
        self._is_over.set()
        while True:  # what still comes is of no use, but that the browser leaves is to be known
            await self._receive()

    async def _receive(self) -> bytes | None:
        """The next sound; None: the browser says that it was the last."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        if not self._is_signed_in():
            raise UnauthenticatedError("you have signed out, or your time is over; sign in again")
        sound: bytes | None = message.get("bytes")
        if sound is None:
            return None
        if len(sound) > MOST_FRAME_BYTES or len(sound) % SAMPLE_BYTES:
            raise ContractError(
                f"a message of {len(sound)} bytes of sound; allowed are 16-bit samples in at most {MOST_FRAME_BYTES}"
            )
        return sound

    def _take_sound(self, sound: bytes) -> None:
        if self._sound.qsize() < MOST_FRAMES:
            self._sound.put_nowait(sound)
            return
        self._dropped_bytes += len(sound)
        dropped_s = self._dropped_bytes / SAMPLE_BYTES / self._wish.rate_hz
        self._news.add({"event": "dropped", "dropped_s": round(dropped_s, 1)})

    async def _feed(self) -> None:
        with suppress(ConnectionError):  # the device has ended, and its last lines say why
            while (sound := await self._sound.get()) is not None:
                await self._device.hear(sound)
            self._device.finish()

    async def _await_the_end(self) -> None:
        await self._is_over.wait()
        await asyncio.sleep(self._patience.finish_s)
        raise UnavailableError(f"no answer in {self._patience.finish_s:g} s after the last sound; is the server there?")

    def _take_line(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict):
            self._news.add(event)
        else:
            _log.warning("console.microphone.no_event", bytes=len(line))

    async def _tell(self) -> None:
        while (event := await self._news.take()) is not None:
            try:
                async with asyncio.timeout(self._patience.send_s):
                    await self._websocket.send_text(event)
            except TimeoutError:
                raise UnavailableError(f"the browser has read nothing for {self._patience.send_s:g} s") from None
