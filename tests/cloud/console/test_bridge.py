"""A browser's microphone and its device, with processes that do what devices may do."""

import asyncio
import json
import sys
from typing import Any, cast

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from voxloop_cloud.console.bridge import MOST_FRAME_BYTES, MOST_FRAMES, Bridge, Patience
from voxloop_cloud.console.browser_device import BrowserDevice, Wish, running_device
from voxloop_proto.errors import ContractError, OverloadError, UnauthenticatedError, UnavailableError

WISH = Wish(16_000, keeps=False)
PATIENCE = Patience(longest_s=60.0)

COUNTS = """
import sys
heard = 0
while sound := sys.stdin.buffer.read(1000):
    heard += len(sound)
print('{"event": "transcript", "segment": 1, "text": "%d bytes"}' % heard)
"""
DIES = """
import sys
sys.stdin.buffer.read(1)
print('{"event": "started", "segment": 1}', flush=True)
sys.exit("voxloop: the server refuses the token")
"""
HEARS_NOTHING = "import time; time.sleep(600)"
WILL_NOT_END = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"event": "link", "is_open": true}', flush=True)
time.sleep(600)
"""
SAYS_TOO_MUCH = """
import time
for segment in range(2000):
    print('{"event": "transcript", "segment": %d}' % segment, flush=True)
time.sleep(600)
"""
SAYS_NO_EVENTS = """
print('no event', flush=True)
print('[1]', flush=True)
print('{"event": "notice", "message": "after that"}')
"""


class FakeBrowser:
    """A browser's end of a socket, in the test's own loop."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def speak(self, sound: bytes) -> None:
        self._sent.put_nowait({"type": "websocket.receive", "bytes": sound})

    def stop(self) -> None:
        self._sent.put_nowait({"type": "websocket.receive", "text": "stop"})

    def leave(self) -> None:
        self._sent.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def receive(self) -> dict[str, Any]:
        return await self._sent.get()

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.told.append(json.loads(text))

    def texts(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.told if each["event"] == event]


def talk(
    program: str, browser: FakeBrowser, patience: Patience = PATIENCE, *, is_signed_in: bool = True
) -> tuple[str, int | None]:
    """One turn with a device; what it complained of, and its exit code once the block was left."""

    async def turn() -> tuple[str, int | None]:
        device: BrowserDevice | None = None
        try:
            async with asyncio.timeout(30), running_device([sys.executable, "-c", program], {}) as device:
                bridge = Bridge(cast(WebSocket, browser), device, WISH, patience, lambda: is_signed_in)
                await bridge.run()
                fault = await device.fault()
        finally:
            assert device is not None
            assert device.process.returncode is not None, "the device was left behind"
            assert len(asyncio.all_tasks()) == 1, "a task was left behind"
        return fault, device.process.returncode

    return asyncio.run(turn())


@pytest.fixture
def browser() -> FakeBrowser:
    return FakeBrowser()


def test_sound_reaches_the_device_whole_and_its_text_the_browser(browser: FakeBrowser) -> None:
    for _ in range(50):
        browser.speak(b"\1\2" * 1_600)
    browser.stop()
    assert talk(COUNTS, browser) == ("", 0)
    assert browser.told == [{"event": "transcript", "segment": 1, "text": "160000 bytes"}]


def test_a_browser_that_leaves_takes_its_device_with_it(browser: FakeBrowser) -> None:
    browser.speak(bytes(3_200))
    browser.leave()
    with pytest.raises(WebSocketDisconnect):
        talk(HEARS_NOTHING, browser)


def test_a_device_that_dies_is_told_with_its_own_last_words(browser: FakeBrowser) -> None:
    browser.speak(bytes(3_200))
    assert talk(DIES, browser) == ("the server refuses the token", 1)
    assert browser.told == [{"event": "started", "segment": 1}]


def test_a_device_that_is_killed_is_told(browser: FakeBrowser) -> None:
    browser.speak(bytes(3_200))
    assert talk("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", browser) == (
        "the device's process was ended by signal 9",
        -9,
    )


def test_what_a_device_cannot_take_is_dropped_counted_and_told(browser: FakeBrowser) -> None:
    sent = 3 * MOST_FRAMES
    for _ in range(sent):
        browser.speak(bytes(MOST_FRAME_BYTES))
    browser.stop()
    with pytest.raises(UnavailableError, match=r"no answer in 0\.5 s"):
        talk(HEARS_NOTHING, browser, Patience(longest_s=60.0, finish_s=0.5))
    frame_s = MOST_FRAME_BYTES / 2 / WISH.rate_hz
    dropped_s = browser.texts("dropped")[-1]["dropped_s"]
    # What the pipe and its buffer took, one message or a few, is in nobody's queue.
    assert (sent - MOST_FRAMES - 5) * frame_s <= dropped_s <= (sent - MOST_FRAMES) * frame_s


def test_a_browser_that_reads_nothing_is_left_before_much_waits_for_it(browser: FakeBrowser) -> None:
    browser.reads.clear()
    with pytest.raises(OverloadError, match="200 events wait"):
        talk(SAYS_TOO_MUCH, browser)


def test_a_browser_that_stops_reading_is_left(browser: FakeBrowser) -> None:
    browser.reads.clear()
    with pytest.raises(UnavailableError, match=r"has read nothing for 0\.2 s"):
        talk(WILL_NOT_END, browser, Patience(longest_s=60.0, send_s=0.2))


def test_a_microphone_is_open_no_longer_than_allowed_and_its_text_still_comes(browser: FakeBrowser) -> None:
    browser.speak(bytes(3_200))
    assert talk(COUNTS, browser, Patience(longest_s=0.3)) == ("", 0)
    assert browser.told[0] == {"event": "notice", "message": "a microphone stays open for 0.3 s at most"}
    assert browser.told[1]["text"] == "3200 bytes"


def test_a_device_that_will_not_end_is_killed(browser: FakeBrowser) -> None:
    browser.stop()
    with pytest.raises(UnavailableError, match=r"no answer in 0\.3 s after the last sound"):
        talk(WILL_NOT_END, browser, Patience(longest_s=60.0, finish_s=0.3))


@pytest.mark.parametrize("size", [1, 3_201, MOST_FRAME_BYTES + 2])
def test_what_is_no_sound_is_refused(browser: FakeBrowser, size: int) -> None:
    browser.speak(bytes(size))
    with pytest.raises(ContractError, match=f"a message of {size} bytes"):
        talk(HEARS_NOTHING, browser)


def test_whoever_signs_out_is_heard_no_longer(browser: FakeBrowser) -> None:
    browser.speak(bytes(3_200))
    with pytest.raises(UnauthenticatedError, match="signed out"):
        talk(HEARS_NOTHING, browser, is_signed_in=False)


def test_a_line_that_is_no_event_is_left_out(browser: FakeBrowser) -> None:
    assert talk(SAYS_NO_EVENTS, browser)[0] == ""
    assert browser.told == [{"event": "notice", "message": "after that"}]


def test_a_device_that_cannot_be_started_is_told() -> None:
    async def start() -> None:
        async with running_device(["/no/such/program"], {}):
            pass

    with pytest.raises(UnavailableError, match="cannot be started: No such file"):
        asyncio.run(start())
