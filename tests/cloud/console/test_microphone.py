"""Who may speak to the console, with what settings a device does so, and what the page says where none can."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tests.cloud.console.conftest import Browser

from voxloop_cloud.console import browser_device
from voxloop_cloud.console.beside import plaintext_address
from voxloop_cloud.console.browser_device import Wish, command_of, device_name, environment_of
from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.console.microphone_page import is_own_page, read_wish
from voxloop_cloud.console.microphones import Microphones
from voxloop_cloud.console.sessions import SignedIn
from voxloop_cloud.console.sources import Sources
from voxloop_cloud.server import ServerConfig
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError, ContractError, OverloadError, PermissionDeniedError

SOCKET = "ws://127.0.0.1/try/sound"
OWN = {"origin": "http://127.0.0.1"}
USER = SignedIn("ada", "the token of this session", 1.0)


def told_at_the_end(client: TestClient, first: dict[str, Any], headers: dict[str, str] = OWN) -> str:
    with client.websocket_connect(SOCKET, headers=headers) as socket:
        socket.send_json(first)
        last = socket.receive_json()
    assert last["event"] == "over"
    return str(last["message"])


def test_a_stranger_has_no_microphone(stranger: Browser) -> None:
    with pytest.raises(WebSocketDisconnect), stranger.client.websocket_connect(SOCKET, headers=OWN):
        pass


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://127.0.0.1:81", "file://127.0.0.1"])
def test_a_page_of_another_site_has_no_microphone_though_the_cookie_comes_with_it(
    browser: Browser, origin: str
) -> None:
    assert browser.get("/try")
    with pytest.raises(WebSocketDisconnect), browser.client.websocket_connect(SOCKET, headers={"origin": origin}):
        pass


def test_a_socket_that_does_not_say_whose_page_it_is_of_is_refused(browser: Browser) -> None:
    with pytest.raises(WebSocketDisconnect), browser.client.websocket_connect(SOCKET):
        pass


def test_a_page_that_this_session_was_not_given_is_refused(browser: Browser) -> None:
    assert "load it again" in told_at_the_end(browser.client, {"csrf": "made up", "rate_hz": 48_000})


def test_without_a_server_the_socket_says_so(browser: Browser) -> None:
    assert "knows no server" in told_at_the_end(browser.client, {"csrf": browser.csrf, "rate_hz": 48_000})


@pytest.mark.parametrize("origin", ["http://[::1", "javascript:alert(1)", "//127.0.0.1", "http://"])
def test_an_origin_that_is_none_is_nobodys(origin: str) -> None:
    assert not is_own_page(origin, "127.0.0.1")


def test_ones_own_page_is_known_by_host_and_port() -> None:
    assert is_own_page("http://127.0.0.1:8080", "127.0.0.1:8080")
    assert is_own_page("https://Console.example", "console.example")
    assert not is_own_page("http://127.0.0.1:8080", "127.0.0.1:8081")


@pytest.mark.parametrize("text", ["", "no json", "[]", "3", "{" * 400, json.dumps({"csrf": "a" * 2_000})])
def test_a_first_message_that_is_no_wish_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="load the page again"):
        read_wish(text, USER)


@pytest.mark.parametrize("rate", [0, 7_999, 192_001, 44_100.5, "48000", None, True, 1e999])
def test_a_rate_that_no_microphone_has_is_refused(rate: object) -> None:
    with pytest.raises(ContractError, match="8000 to 192000"):
        read_wish(json.dumps({"csrf": USER.csrf, "rate_hz": rate}), USER)


def test_a_wish_of_another_session_is_refused() -> None:
    with pytest.raises(PermissionDeniedError):
        read_wish(json.dumps({"csrf": "another", "rate_hz": 48_000}), USER)


@pytest.mark.parametrize("keeps", [None, False, 1, "true", [True]])
def test_nothing_is_kept_unless_that_is_said(keeps: object) -> None:
    assert not read_wish(json.dumps({"csrf": USER.csrf, "rate_hz": 48_000, "keeps": keeps}), USER).keeps


def test_a_device_is_told_the_speakers_consent_and_none_of_the_consoles_secrets(
    config: ConsoleConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXLOOP_CONSOLE_STORE__URL", "postgresql://voxloop:hunter2@db/voxloop")
    monkeypatch.setenv("VOXLOOP_CONSENT__TRAIN", "true")
    told = environment_of(config, "127.0.0.1:50051", "ada", Wish(48_000, keeps=False))
    assert "hunter2" not in str(told)
    found = {name: value for name, value in told.items() if name.startswith("VOXLOOP_")}
    assert found == {
        "VOXLOOP_DEVICE_ID": "browser-ada",
        "VOXLOOP_DEVICE_KIND": "browser",
        "VOXLOOP_CLIENT__SERVER": "127.0.0.1:50051",
        "VOXLOOP_CLIENT__INSECURE": "true",
        "VOXLOOP_CONSENT__KEEP_AUDIO": "false",
        "VOXLOOP_CONSENT__KEEP_TEXT": "false",
        "VOXLOOP_CONSENT__TRAIN": "false",
        "VOXLOOP_CONSENT__TERMS_VERSION": "browser-1",
    }


def test_with_settings_of_a_device_these_say_which_server_and_how(config: ConsoleConfig, tmp_path: Path) -> None:
    with_device = config.model_copy(update={"device": tmp_path / "device.toml"})
    wish = Wish(44_100, keeps=True)
    told = environment_of(with_device, "127.0.0.1:50051", "ada", wish)
    assert not {name for name in told if name.startswith(("VOXLOOP_CLIENT", "VOXLOOP_DEVICE_ID"))}
    assert told["VOXLOOP_CONSENT__KEEP_AUDIO"] == "true"
    command = command_of(with_device, wish)
    assert command[-2:] == ["--config", str(tmp_path / "device.toml")]
    assert "44100" in command


@pytest.mark.parametrize("name", ["ada", "Ada Lovelace", "ä ö", "a@b.example", "x" * 64, "..."])
def test_a_speakers_name_makes_a_name_of_a_device(name: str) -> None:
    found = device_name(name)
    assert found.startswith("browser")
    assert len(found) <= 64
    assert all(each.isascii() and (each.isalnum() or each in "._-") for each in found)


def test_one_microphone_more_than_allowed_is_told_so_and_a_place_comes_back() -> None:
    microphones = Microphones()
    with microphones.place(1):
        with pytest.raises(OverloadError, match="1 microphones are open"), microphones.place(1):
            pass
        assert microphones.open == 1
    with microphones.place(1):
        assert microphones.open == 1


def test_the_page_says_what_is_missing(sources: Sources, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "knows no server" in browser.get("/try")
    sources.microphones.speak_to("127.0.0.1:50051")
    ready = browser.get("/try")
    assert "knows no server" not in ready
    assert "Unless this is ticked, the server keeps neither" in ready
    assert "browser-ada" in ready
    monkeypatch.setattr(browser_device, "entry_points", lambda **_: ())
    assert "pip install &#39;voxloop[edge]&#39;" in browser.get("/try")


def test_microphones_can_be_switched_off(config: ConsoleConfig) -> None:
    off = config.model_copy(update={"microphones": 0})
    assert "switched off" in browser_device.why_not(off, "127.0.0.1:50051")


def test_speech_goes_in_plaintext_to_this_machine_alone(config: ConsoleConfig) -> None:
    with pytest.raises(ConfigError, match="must not go in plaintext"):
        read_settings(ConsoleConfig, flags=config.model_dump() | {"server": "10.0.0.1:50051"})


@pytest.mark.parametrize(
    ("settings", "listens", "told"),
    [
        ({"insecure": True}, "127.0.0.1:50051", "127.0.0.1:50051"),
        ({"insecure": True}, "0.0.0.0:50051", "127.0.0.1:50051"),
        ({"insecure": True}, "[::]:50051", "[::1]:50051"),
        ({"insecure": True}, "10.0.0.1:50051", None),
        ({"insecure": True, "tokens": "tokens.json"}, "127.0.0.1:50051", None),
        ({"anonymous": True}, "127.0.0.1:50051", None),
    ],
)
def test_a_server_tells_its_console_only_an_address_that_takes_anybody_in_plaintext(
    settings: dict[str, object], listens: str, told: str | None
) -> None:
    assert plaintext_address(ServerConfig.model_validate(settings), listens) == told
