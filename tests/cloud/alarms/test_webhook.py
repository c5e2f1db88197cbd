"""The webhook against a real receiver: in order, again if need be, and never in anybody's way."""

import socket
import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from tests.cloud.alarms.receiver import receiving

from voxloop_cloud.alarms.config import AlarmsConfig
from voxloop_cloud.alarms.webhook import MAX_TRIES, MAX_WAITING, Webhook, wait_s
from voxloop_proto.errors import ConfigError

QUICK_S = 0.01


def webhook(url: str, secret: Path | None = None, timeout_ms: int = 2_000) -> Webhook:
    config = AlarmsConfig(webhook=SecretStr(url), webhook_secret=secret, webhook_timeout_ms=timeout_ms)
    return Webhook(config, first_wait_s=QUICK_S)


def test_messages_arrive_in_order_with_the_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret-w0rd\n")
    with receiving() as receiver:
        hook = webhook(receiver.url, secret)
        for number in range(20):
            hook.send({"id": number})
        hook.close(10.0)
    assert [message["id"] for message in receiver.messages] == list(range(20))
    assert {headers["Authorization"] for headers in receiver.headers} == {"Bearer s3cret-w0rd"}


@pytest.mark.parametrize("status", [500, 503, 429, 408, -1])
def test_what_failed_for_now_is_sent_again_and_arrives_once(status: int) -> None:
    with receiving(status, status) as receiver:
        hook = webhook(receiver.url)
        hook.send({"id": "a"})
        hook.send({"id": "b"})
        hook.close(10.0)
    assert [message["id"] for message in receiver.messages] == ["a", "b"]
    assert receiver.requests == 4


@pytest.mark.parametrize("status", [400, 401, 404, 302, 307])
def test_what_is_refused_is_told_and_not_sent_again(status: int) -> None:
    with receiving(status) as receiver, capture_logs() as logs:
        hook = webhook(receiver.url)
        hook.send({"id": "refused"})
        hook.send({"id": "next"})
        hook.close(10.0)
    assert [message["id"] for message in receiver.messages] == ["next"]
    assert [log["reason"] for log in logs if log["event"] == "alarms.not_sent"] == [f"status {status}"]


def test_it_gives_up_after_its_tries_and_says_so() -> None:
    with receiving(*[500] * MAX_TRIES) as receiver, capture_logs() as logs:
        hook = webhook(receiver.url)
        hook.send({"id": "lost"})
        hook.send({"id": "next"})
        hook.close(10.0)
    assert [message["id"] for message in receiver.messages] == ["next"]
    assert [log["message"] for log in logs if log["event"] == "alarms.not_sent"] == [{"id": "lost"}]


def test_a_receiver_that_never_answers_delays_nobody_and_old_messages_give_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, capture_logs() as logs:
        hook = webhook(f"http://127.0.0.1:{deaf.getsockname()[1]}/", timeout_ms=500)
        begin_s = time.monotonic()
        for number in range(MAX_WAITING + 50):
            hook.send({"id": number})
        assert time.monotonic() - begin_s < 0.4
        hook.close(0.1)
        dropped = [log["message"]["id"] for log in logs if log.get("reason") == f"{MAX_WAITING} wait already"]
        assert len(dropped) in (50, 51)  # the thread may have taken the first one; close() needs a place, too
        assert dropped == list(range(dropped[0], dropped[0] + len(dropped)))


def test_no_url_and_no_secret_is_ever_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden-word")
    with receiving(*[500] * MAX_TRIES, 404) as receiver, capture_logs() as logs:
        hook = webhook(f"{receiver.url}/hidden-path", secret)
        hook.send({"id": 1})
        hook.send({"id": 2})
        hook.close(10.0)
    assert logs
    assert "hidden" not in repr(logs)
    assert "hidden" not in repr(AlarmsConfig(webhook=SecretStr("https://hidden")))


@pytest.mark.parametrize("url", ["ftp://a/hidden", "hidden", "http://", "http://host:hidden/", "http://[hidden"])
def test_a_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="allowed is http") as caught:
        webhook(url)
    assert "hidden" not in caught.value.message


def test_a_name_and_password_in_the_url_are_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"a user's name in it .* alarms\.webhook_secret") as caught:
        webhook("https://hidden:hidden@example.org/alarms")
    assert "hidden" not in caught.value.message


def test_a_secret_does_not_go_to_another_machine_in_plaintext(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    with pytest.raises(ConfigError, match=r"would go to example\.org in plaintext; give"):
        webhook("http://example.org/alarms", secret)


@pytest.mark.parametrize("content", ["", "two words", "line\nline", "ümlaut", "x" * 5_000])
def test_a_secret_that_cannot_be_a_header_is_refused(content: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(content)
    with pytest.raises(ConfigError, match="allowed is one word"):
        webhook("http://127.0.0.1:1/", secret)
    with pytest.raises(ConfigError, match="cannot read"):
        webhook("http://127.0.0.1:1/", tmp_path / "none")


def test_waits_double_and_half_of_each_is_chance() -> None:
    assert [wait_s(attempt, 1.0, 1.0) for attempt in range(5)] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert [wait_s(attempt, 1.0, 0.0) for attempt in range(5)] == [0.5, 1.0, 2.0, 4.0, 8.0]
