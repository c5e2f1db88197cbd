"""The console's microphone with real processes: its device ends whatever happens, and hears what a device hears."""

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest
from tests.e2e.conftest import ServerProcess, voxloop
from tests.e2e.test_listen import raw_query

websockets = pytest.importorskip("websockets.sync.client", reason="the console's extra is not installed")

FRAME_BYTES = 3_200  # 100 ms at 16 kHz
PASSWORD = "a long enough password"


class Console:
    """A `voxloop console`, and somebody who is signed in there."""

    def __init__(self, process_id: int, address: str, password: str = PASSWORD, ca: Path | None = None) -> None:
        """ca: of the console's certificate, if it speaks https."""
        self.process_id = process_id
        self.address = address
        self._tls = ssl.create_default_context(cafile=ca) if ca else None
        self.cookie, self.csrf = self._sign_in(password)

    def _sign_in(self, password: str) -> tuple[str, str]:
        if self._tls is None:
            connection = http.client.HTTPConnection(self.address, timeout=30)
        else:
            connection = http.client.HTTPSConnection(self.address, timeout=30, context=self._tls)
        form = urlencode({"name": "ada", "secret": password})
        connection.request("POST", "/sign-in", form)
        answer = connection.getresponse()
        answer.read()
        cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
        connection.request("GET", "/try", headers={"Cookie": cookie})
        found = re.search(r'data-csrf="([^"]+)"', connection.getresponse().read().decode())
        connection.close()
        assert found is not None
        return cookie, found[1]

    def socket(self, origin: str | None = None, cookie: str | None = None) -> Any:
        """A page's socket, as a browser opens it."""
        secure = "s" if self._tls else ""
        return websockets.connect(
            f"ws{secure}://{self.address}/try/sound",
            origin=f"http{secure}://{self.address}" if origin is None else origin,
            additional_headers={"Cookie": self.cookie if cookie is None else cookie},
            ssl=self._tls,
            proxy=None,
        )

    def wish(self, rate_hz: int = 16_000) -> str:
        return json.dumps({"csrf": self.csrf, "rate_hz": rate_hz, "keeps": False})

    def devices(self) -> list[psutil.Process]:
        """The processes of microphones."""
        return psutil.Process(self.process_id).children(recursive=True)

    def device(self) -> psutil.Process:
        """That of the one microphone."""
        until(lambda: len(self.devices()) == 1)
        return self.devices()[0]


def until(condition: Callable[[], bool], longest_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + longest_s
    while not condition():
        assert time.monotonic() < deadline_s, f"in {longest_s:g} s it was never so"
        time.sleep(0.02)


def has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def running_console(server: ServerProcess, state: Path, **settings: object) -> Iterator[Console]:
    (state / "password").write_text(PASSWORD)
    told = {f"VOXLOOP_CONSOLE_{name.upper()}": str(value) for name, value in settings.items()}
    where = ("--state", state, "--password", state / "password", "--listen", "127.0.0.1:0")
    process = subprocess.Popen(
        voxloop("console", *where, "--server", server.address, "--log-level", "error"),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | told,
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://(\S+)", process.stdout.readline())
        assert found is not None, "the console did not start"
        yield Console(process.pid, found[1])
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture
def console(server: ServerProcess, tmp_path: Path) -> Iterator[Console]:
    with running_console(server, tmp_path) as found:
        yield found


def events_until_over(page: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or found[-1]["event"] != "over":
        found.append(json.loads(page.recv(timeout=60)))
    return found


def speak(page: Any, console: Console, sound: bytes) -> None:
    page.send(console.wish())
    for start in range(0, len(sound), FRAME_BYTES):
        page.send(sound[start : start + FRAME_BYTES])


def test_a_browser_is_heard_as_a_device_is(server: ServerProcess, console: Console) -> None:
    sound = raw_query()
    with console.socket() as page:
        speak(page, console, sound)
        page.send("stop")
        events = events_until_over(page)
    assert events[-1] == {"event": "over", "message": ""}
    texts = [event["text"] for event in events if event["event"] == "transcript"]
    command = voxloop("listen", "--insecure", "--server", server.address, "--stdin", "s16le")
    heard = subprocess.run(command, input=sound, capture_output=True, timeout=60, check=True)
    assert [text for text in texts if text] == heard.stdout.decode().splitlines()
    kinds = {event["event"] for event in events}
    assert {"link", "level", "started", "hypothesis", "ended", "transcript"} <= kinds
    for event in events:
        if event["event"] == "transcript":
            assert 0 <= event["start_s"] < event["end_s"] <= len(sound) / 32_000 + 0.1
            assert event["latency_ms"] <= event["user_latency_ms"]
    until(lambda: console.devices() == [])


@pytest.mark.parametrize(("origin", "cookie"), [("http://evil.example", None), (None, "voxloop_console=made-up")])
def test_strangers_and_other_sites_are_refused_before_a_device_begins(
    console: Console, origin: str | None, cookie: str | None
) -> None:
    with pytest.raises(Exception, match="HTTP 403"):
        console.socket(origin, cookie)
    assert console.devices() == []


def test_a_browser_that_leaves_takes_its_device_with_it(console: Console) -> None:
    with console.socket() as page:
        speak(page, console, raw_query()[: 10 * FRAME_BYTES])
        device = console.device()
    until(lambda: has_ended(device))


def test_a_device_that_is_killed_is_told_and_the_next_one_begins(console: Console) -> None:
    with console.socket() as page:
        speak(page, console, raw_query()[: 10 * FRAME_BYTES])
        console.device().kill()
        assert "ended by signal 9" in events_until_over(page)[-1]["message"]
    with console.socket() as page:
        speak(page, console, raw_query())
        page.send("stop")
        assert events_until_over(page)[-1]["message"] == ""


def test_one_microphone_too_many_is_told_so(server: ServerProcess, tmp_path: Path) -> None:
    with running_console(server, tmp_path, microphones=1) as console, console.socket() as first:
        first.send(console.wish())
        console.device()
        with console.socket() as second:
            second.send(console.wish())
            assert "1 microphones are open" in events_until_over(second)[-1]["message"]
        assert len(console.devices()) == 1


def test_a_microphone_closes_after_its_time(server: ServerProcess, tmp_path: Path) -> None:
    with running_console(server, tmp_path, microphone_s=1) as console, console.socket() as page:
        speak(page, console, raw_query())
        events = events_until_over(page)
    assert {"event": "notice", "message": "a microphone stays open for 1 s at most"} in events
    assert [event for event in events if event["event"] == "transcript"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_console_ends_its_devices_end(
    server: ServerProcess, tmp_path: Path, number: signal.Signals
) -> None:
    with running_console(server, tmp_path) as console, console.socket() as page:
        speak(page, console, raw_query()[: 10 * FRAME_BYTES])
        device = console.device()
        began_s = time.monotonic()
        os.kill(console.process_id, number)
        exit_code = psutil.Process(console.process_id).wait(timeout=30)
        if number is not signal.SIGKILL:
            assert exit_code == 0
            assert has_ended(device)
            assert time.monotonic() - began_s < 10.0
        until(lambda: has_ended(device))


def test_a_server_that_is_away_is_told_while_one_waits(console: Console, server: ServerProcess) -> None:
    server.kill()
    with console.socket() as page:
        page.send(console.wish())
        while (event := json.loads(page.recv(timeout=60)))["event"] != "link":
            pass
    assert not event["is_open"]
    assert event["reason"]
    server.start()


def test_where_tls_and_a_token_are_asked_for_the_settings_of_a_device_give_them(tiny: Path, tmp_path: Path) -> None:
    certs, tokens, token = tmp_path / "certs", tmp_path / "tokens.json", tmp_path / "browser.token"
    subprocess.run(voxloop("certificates", certs), check=True, capture_output=True, timeout=60)
    issued = voxloop("tokens", "issue", "desk", "--tokens", tokens, "--out", token)
    subprocess.run(issued, check=True, capture_output=True, timeout=60)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    device = tmp_path / "device.toml"
    device.write_text(
        f'device_id = "desk"\n[client]\nserver = "{address}"\ntoken_file = "{token}"\ntls.ca = "{certs / "ca.pem"}"\n'
    )
    own = ("--certificate", certs / "server.pem", "--key", certs / "server.key", "--tokens", tokens)
    flags = ("--bundle", tiny, "--listen", address, "--state", tmp_path / "state", "--console", "127.0.0.1:0")
    log = tmp_path / "server.log"
    with (
        log.open("w") as err,
        subprocess.Popen(
            voxloop("serve", *own, *flags),
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env=os.environ | {"VOXLOOP_CONSOLE_DEVICE": str(device)},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            said = "".join(process.stdout.readline() for _ in range(4))
            console_address = re.search(r"voxloop console: https://(\S+)", said)
            assert console_address is not None, said
            assert "listening on" in said
            password = (tmp_path / "state" / "console.password").read_text().strip()
            beside = psutil.Process(process.pid).children()[0].pid
            console = Console(beside, console_address[1], password, certs / "ca.pem")
            with console.socket() as page:
                speak(page, console, raw_query())
                command_line = console.device().cmdline()
                page.send("stop")
                events = events_until_over(page)
        finally:
            process.terminate()
            process.wait(timeout=30)
    assert events[-1]["message"] == ""
    assert [event for event in events if event["event"] == "transcript" and event["text"]]
    secret = token.read_text().strip()
    assert secret not in " ".join(command_line)
    assert secret not in log.read_text() + said
