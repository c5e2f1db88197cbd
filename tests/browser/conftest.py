"""A real server with a real console, filled by a real replay, in a real browser: Debian's chromium."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voxloop_cloud.testing import tiny_bundle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; scripts/setup dev does it")
CHROMIUM = shutil.which("chromium")
QUERIES = Path(__file__).parents[1] / "data" / "queries"
FLAGS = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
CONSENT = '[consent]\nkeep_audio = true\nkeep_text = true\nterms_version = "2026-01"\n'


def voxloop(*arguments: object) -> list[str]:
    """The command line of a subcommand."""
    return [sys.executable, "-m", "voxloop_proto.cli", *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Served:
    """Where it all is."""

    console: str
    password: str
    address: str


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a tiny bundle, after `voxloop replay`."""
    folder = tmp_path_factory.mktemp("served")
    with serving(folder / "state", "--bundle", tiny_bundle(folder / "tiny").path) as found:
        (folder / "device.toml").write_text(CONSENT)
        device = ("--server", found.address, "--insecure", "--config", folder / "device.toml")
        subprocess.run(voxloop("replay", QUERIES, *device), check=True, capture_output=True, timeout=180)
        yield found


@contextmanager
def serving(state: Path, *flags: object) -> Iterator[Served]:
    """`voxloop serve --state --console`."""
    own = ("--insecure", "--listen", "127.0.0.1:0", "--log-level", "error", "--state", state)
    command = voxloop("serve", *own, *flags, "--console", "127.0.0.1:0", "--until-stdin-closes")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        said = _said(process, "console", "listening on")
        yield Served(said["console"], (state / "console.password").read_text().strip(), said["listening on"])
    finally:
        process.communicate(timeout=60)  # closes standard input, which ends it


def _said(process: "subprocess.Popen[str]", *wanted: str) -> dict[str, str]:
    """The addresses that it prints as it gets ready."""
    patterns = {"console": r"voxloop console: (http\S+)", "listening on": r"listening on (\S+)"}
    found: dict[str, str] = {}
    assert process.stdout is not None
    while missing := [name for name in wanted if name not in found]:
        line = process.stdout.readline()
        assert line, f"it ended before it said {missing}"
        for name in missing:
            if match := re.search(patterns[name], line):
                found[name] = match[1]
    return found


@pytest.fixture(scope="module")
def play() -> Iterator["Playwright"]:
    """What drives browsers, for a module's tests.

    Not for the session: while playwright is there its event loop runs in this thread, and asyncio.run fails in all
    other tests.
    """
    with playwright.sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def chromium(play: "Playwright") -> Iterator["Browser"]:
    """One browser for a module's tests; each has a context of its own."""
    with launched(play) as browser:
        yield browser


@contextmanager
def launched(play: "Playwright", *flags: str) -> Iterator["Browser"]:
    """Chromium, with flags beside those of all tests."""
    if CHROMIUM is None:
        pytest.skip("no chromium; scripts/setup dev installs it")
    browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
    yield browser
    browser.close()


@dataclass(slots=True)
class Visit:
    """One person at one browser. faults: what the browser complained of, and requests to anywhere else.

    place: of the utterance that this visit is about; visits at other widths have others.
    """

    page: "Page"
    console: str
    faults: list[str]
    place: int

    def go(self, path: str) -> None:
        """Opens a page, which must be there."""
        answer = self.page.goto(self.console + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"

    def until(self, condition: str) -> None:
        """Waits until a condition holds in the page; wait_for_function would need the eval that the console forbids."""
        for _ in range(200):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"in 20 s it was never so: {condition}")

    def shows(self, text: str) -> None:
        """Waits until a text is to be seen."""
        playwright.expect(self.page.locator("body")).to_contain_text(text, timeout=20_000)


WIDTHS = [1280, 360]


@pytest.fixture(params=WIDTHS, ids=["desk", "phone"])
def visit(request: pytest.FixtureRequest, chromium: "Browser", served: Served) -> Iterator[Visit]:
    """At both widths."""
    with visiting(chromium, served, request.param) as found:
        yield found


@contextmanager
def visiting(chromium: "Browser", served: Served, width: int) -> Iterator[Visit]:
    """Signed in; nothing may scroll sideways, fail in the browser, or be asked of anybody else."""
    context = chromium.new_context(viewport={"width": width, "height": 800})
    page, faults = context.new_page(), list[str]()
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(served.console) else faults.append(sent.url))
    page.goto(f"{served.console}/sign-in")
    page.get_by_label("Your name").fill("ada")
    page.get_by_label("Password").fill(served.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/utterances")
    yield Visit(page, served.console, faults, place=WIDTHS.index(width))
    too_wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()
    assert too_wide <= 0
    assert faults == []
