"""Somebody speaks into the browser: Chromium's fake microphone plays a recorded query to the default bundle."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import soxr
from tests.browser.conftest import QUERIES, WIDTHS, Served, Visit, launched, serving, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

expect = pytest.importorskip("playwright.sync_api").expect
WAIT_MS = 60_000
SAID = "turn off the lights in the kitchen"
SILENCE_S = 4
MICROPHONE_RATE_HZ = 48_000
ELSEWHERE = "console.example"  # a name that is not this machine's, though it leads here
FAKE = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
)


@pytest.fixture(scope="module")
def recognizing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of the default bundle."""
    with serving(tmp_path_factory.mktemp("recognizing") / "state") as found:
        yield found


@pytest.fixture(scope="module")
def speaking(play: "Playwright", tmp_path_factory: pytest.TempPathFactory) -> Iterator["Browser"]:
    """A browser in front of which somebody says SAID every few seconds, at a microphone's 48 kHz."""
    pcm, rate_hz = soundfile.read(QUERIES / "lights.flac", dtype="float32")
    silence = np.zeros(SILENCE_S * rate_hz, np.float32)
    sound = tmp_path_factory.mktemp("microphone") / "lights.wav"
    said = soxr.resample(np.concatenate([silence, pcm, silence]), rate_hz, MICROPHONE_RATE_HZ)
    soundfile.write(sound, said, MICROPHONE_RATE_HZ, "PCM_16")
    with launched(play, *FAKE, f"--use-file-for-fake-audio-capture={sound}") as browser:
        yield browser


@pytest.fixture(params=WIDTHS, ids=["desk", "phone"])
def microphone(request: pytest.FixtureRequest, speaking: "Browser", recognizing: Served) -> Iterator[Visit]:
    """The page, at both widths."""
    with visiting(speaking, recognizing, request.param) as visit:
        visit.go("/try")
        yield visit


def test_what_is_said_is_shown_as_it_is_spoken_and_then_as_text(microphone: Visit) -> None:
    page = microphone.page
    page.get_by_role("button", name="Start").click()
    microphone.shows("Listening. Speak.")
    expect(page.get_by_text("being spoken")).to_be_visible(timeout=WAIT_MS)
    newest = page.locator("#segments li").first
    expect(newest.locator(".said")).to_have_text(SAID, timeout=WAIT_MS)
    expect(newest).to_contain_text(re.compile(r"\d\.\d – \d+\.\d s"))
    expect(newest).to_contain_text(re.compile(r"\d+ ms after the last sound of speech"))
    expect(page.locator("#level")).to_contain_text("dBFS")
    assert page.evaluate("levels.length") > 10
    drawn = "[...document.querySelector('#heard').getContext('2d').getImageData(0, 0, 9999, 72).data].some(Boolean)"
    assert page.evaluate(drawn)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Start")).to_be_enabled(timeout=WAIT_MS)
    expect(page.locator("#fault")).to_be_hidden()


def test_the_space_bar_starts_and_stops(microphone: Visit) -> None:
    page = microphone.page
    page.keyboard.press(" ")
    microphone.shows("Listening. Speak.")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Start")).to_be_enabled(timeout=WAIT_MS)


def test_nothing_is_kept_until_the_box_is_ticked(microphone: Visit) -> None:
    page = microphone.page
    for is_kept in (False, True):
        page.get_by_label("Keep what I say").set_checked(is_kept)
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#segments .said").first).to_have_text(SAID, timeout=WAIT_MS)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Start")).to_be_enabled(timeout=WAIT_MS)
        for _ in range(50):
            microphone.go("/utterances?device_id=browser-ada")
            newest = page.locator("tr.link").first
            if newest.count():
                break
            page.wait_for_timeout(200)
        expect(newest).to_contain_text(SAID if is_kept else "text not kept")
        microphone.go("/try")


def test_a_microphone_that_is_not_allowed_is_said_in_words(chromium: "Browser", recognizing: Served) -> None:
    with visiting(chromium, recognizing, WIDTHS[1]) as visit:
        visit.go("/try")
        visit.page.get_by_role("button", name="Start").click()
        fault = visit.page.locator("#fault")
        expect(fault).to_contain_text(re.compile("did not let this page|No microphone was found"), timeout=WAIT_MS)
        expect(visit.page.get_by_role("button", name="Start")).to_be_enabled()


def test_without_https_beyond_this_machine_the_page_says_what_to_do(speaking: "Browser", recognizing: Served) -> None:
    elsewhere = replace(recognizing, console=recognizing.console.replace("127.0.0.1", ELSEWHERE))
    with visiting(speaking, elsewhere, WIDTHS[1]) as visit:
        visit.go("/try")
        visit.shows("Browsers give a microphone only to pages from their own machine, or over https.")
        expect(visit.page.get_by_role("button", name="Start")).to_be_disabled()
        visit.faults[:] = [fault for fault in visit.faults if "Cross-Origin-Opener-Policy" not in fault]
