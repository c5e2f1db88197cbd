"""Nobody sees or changes anything who has not signed in, or whose form is not the console's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.routing import Mount, Route
from tests.cloud.console.conftest import PASSWORD, Browser

from voxloop_cloud.console.app import HEADERS, routes
from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.console.door import COOKIE, Door
from voxloop_cloud.console.password import read_password
from voxloop_cloud.console.sessions import TRIES_PER_MINUTE, Sessions, Tries
from voxloop_cloud.console.sign_in_page import OPEN_PATHS, is_own_path
from voxloop_cloud.security.token_store import change_tokens
from voxloop_cloud.security.tokens import Role, TokenBook, make_token
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError, OverloadError, PermissionDeniedError, UnauthenticatedError


def addresses(method: str) -> list[str]:
    """Every page of the console, with made-up numbers in its path."""
    found = [each for each in routes() if isinstance(each, Route) and method in (each.methods or ())]
    assert found
    filled = {"utterance_id:int": "1", "review_id:int": "1", "place:int": "1", "stage": "vad", "rule": "r"}
    paths = []
    for route in found:
        path = route.path
        for name, value in filled.items():
            path = path.replace(f"{{{name}}}", value)
        paths.append(path)
    return [path for path in paths if path not in OPEN_PATHS]


def test_what_is_mounted_is_static_alone() -> None:
    assert [each.path for each in routes() if isinstance(each, Mount)] == ["/static"]


@pytest.mark.parametrize("path", addresses("GET"))
def test_a_stranger_is_sent_to_the_door_from_every_page(stranger: Browser, path: str) -> None:
    answer = stranger.client.get(path)
    assert answer.status_code in {303, 204}
    assert not answer.content
    if answer.status_code == 303:
        assert answer.headers["location"].startswith("/sign-in")


@pytest.mark.parametrize("path", addresses("POST"))
def test_a_stranger_changes_nothing(stranger: Browser, path: str) -> None:
    assert stranger.client.post(path, data={"csrf": ""}).headers["location"] == "/sign-in"


@pytest.mark.parametrize("path", addresses("POST"))
@pytest.mark.parametrize("csrf", [None, "", "made up", "é" * 32])
def test_a_form_of_somebody_elses_is_refused_everywhere(browser: Browser, path: str, csrf: str | None) -> None:
    answer = browser.client.post(path, data={} if csrf is None else {"csrf": csrf})
    assert answer.status_code == 403
    assert "load the page again" in answer.text


def test_the_csrf_token_of_one_session_is_none_in_another(browser: Browser, stranger: Browser) -> None:
    assert stranger.sign_in("bob") == 303
    stranger.csrf = browser.csrf
    stranger.post("/sign-out", 403)


def test_a_wrong_password_is_refused_and_then_rate_limited(stranger: Browser) -> None:
    assert [stranger.sign_in(secret="no") for _ in range(TRIES_PER_MINUTE)] == [403] * TRIES_PER_MINUTE
    assert stranger.sign_in() == 429


def test_signing_out_ends_the_session_at_the_console(browser: Browser) -> None:
    cookie = browser.client.cookies[COOKIE]
    browser.post("/sign-out")
    browser.client.cookies.set(COOKIE, cookie)
    assert browser.client.get("/utterances").status_code == 303


def test_the_cookie_is_for_this_console_and_no_script(stranger: Browser) -> None:
    said = stranger.client.post("/sign-in", data={"name": "ada", "secret": PASSWORD}).headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert "Secure" not in said  # on this machine alone, where nobody speaks TLS


def test_beyond_this_machine_cookies_are_for_https(config: ConsoleConfig) -> None:
    values = config.model_dump() | {"listen": "0.0.0.0:80"}
    with pytest.raises(ConfigError, match="must not go in plaintext"):
        read_settings(ConsoleConfig, flags=values)
    assert read_settings(ConsoleConfig, flags=values | {"behind_proxy": True}).is_https


def test_every_answer_forbids_requests_elsewhere(browser: Browser) -> None:
    for path in ("/utterances", "/sign-in", "/static/console.js", "/nothing", "/utterances/9"):
        headers = browser.client.get(path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", ""])
def test_after_signing_in_nobody_is_sent_elsewhere(path: str) -> None:
    assert not is_own_path(path)


def test_a_form_is_bounded(browser: Browser) -> None:
    answer = browser.client.post("/sign-out", content=b"csrf=" + b"a" * 70_000)
    assert answer.status_code == 400
    assert "65536 bytes" in answer.text


def test_an_admins_token_signs_in_and_a_devices_does_not(config: ConsoleConfig, tmp_path: Path) -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    admin, admin_record = make_token("grace", now, timedelta(days=1), Role.ADMIN)
    device, device_record = make_token("kitchen", now, timedelta(days=1))
    file = tmp_path / "tokens.json"
    change_tokens(file, lambda _: TokenBook(tokens=(admin_record, device_record)))
    door = Door(config.model_copy(update={"tokens": file}))
    cookie = door.sign_in("", admin, "here", now)
    found = door.sessions.find(cookie, door.clock())
    assert found is not None
    assert found.name == "grace"
    with pytest.raises(PermissionDeniedError, match="no admin's"):
        door.sign_in("", device, "here", now)
    with pytest.raises(UnauthenticatedError):
        door.sign_in("", admin, "here", now + timedelta(days=2))


def test_a_name_is_asked_for_since_it_is_kept(config: ConsoleConfig) -> None:
    door = Door(config)
    with pytest.raises(UnauthenticatedError, match="say who you are"):
        door.sign_in("<b>", PASSWORD, "here")


def test_sessions_end_with_their_time_and_are_bounded() -> None:
    sessions = Sessions(10.0)
    first = sessions.begin("ada", 0.0)
    assert sessions.find(first, 9.0) is not None
    assert sessions.find(first, 10.0) is None
    for _ in range(1_000):
        sessions.begin("bob", 1.0)
    assert sessions.find(first, 1.0) is None


def test_tries_come_back_with_time_and_each_address_has_its_own() -> None:
    tries = Tries()
    assert [tries.take("a", 0.0) for _ in range(TRIES_PER_MINUTE)] == [0] * TRIES_PER_MINUTE
    assert tries.take("a", 0.0) > 0
    assert tries.take("b", 0.0) == 0
    assert tries.take("a", 6.1) == 0


def test_a_password_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    config = ConsoleConfig.model_validate({"store": {"state": tmp_path}})
    made = read_password(config)
    assert made == read_password(config)
    assert (tmp_path / "console.password").stat().st_mode & 0o777 == 0o600


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("12345")
    with pytest.raises(ConfigError, match="at least 12"):
        read_password(ConsoleConfig.model_validate({"store": {"state": tmp_path}, "password": tmp_path / "short"}))


def test_too_many_tries_say_when_to_come_back(config: ConsoleConfig) -> None:
    door = Door(config, clock=lambda: 0.0)
    for _ in range(TRIES_PER_MINUTE):
        with pytest.raises(UnauthenticatedError):
            door.sign_in("ada", "no", "here")
    with pytest.raises(OverloadError, match="the next one in 6 s"):
        door.sign_in("ada", PASSWORD, "here")


def test_whoever_signs_in_rightly_is_not_counted(config: ConsoleConfig) -> None:
    door = Door(config, clock=lambda: 0.0)
    for _ in range(3 * TRIES_PER_MINUTE):
        door.sign_in("ada", PASSWORD, "here")
    with pytest.raises(UnauthenticatedError):
        door.sign_in("ada", "no", "here")
