"""When to try again and when to give up, by the clock that the test turns."""

import pytest

from voxloop_edge.reconnection import Reconnection, ReconnectionConfig, backoff_ms
from voxloop_proto.errors import OverloadError, UnavailableError

CONFIG = ReconnectionConfig(
    connect_timeout_ms=1_000, outage_timeout_ms=10_000, first_backoff_ms=100, longest_backoff_ms=1_000
)
AWAY = UnavailableError("connection refused")


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_the_wait_doubles_up_to_its_bound(chance: float) -> None:
    waits = [backoff_ms(attempt, CONFIG, chance) for attempt in range(2000)]
    assert waits == sorted(waits)
    assert all(50 <= wait <= 1000 for wait in waits)


def test_a_server_that_never_answered_is_given_up_after_the_connect_timeout() -> None:
    link = Reconnection(CONFIG, "here:1", now_s=0.0)
    link.broke(AWAY, 1, 0.9, 0.5)
    with pytest.raises(UnavailableError, match=r"no answer from here:1 for 1\.1 s \(connection refused\)"):
        link.broke(AWAY, 1, 1.1, 0.5)


def test_an_hour_of_silence_does_not_use_up_the_patience() -> None:
    link = Reconnection(CONFIG, "here:1", now_s=0.0)
    link.opened(0.1)
    assert link.broke(AWAY, 0, 3600.0, 1.0) == 100
    link.opened(3601.0)
    assert link.broke(AWAY, 1, 7200.0, 1.0) == 100


def test_a_server_that_greets_and_fails_each_segment_is_given_up() -> None:
    link, now_s, waits = Reconnection(CONFIG, "here:1", now_s=0.0), 0.0, []
    while now_s < 10.0:
        link.opened(now_s)
        now_s += 0.01
        waits.append(link.broke(AWAY, 1, now_s, 1.0))
        now_s += waits[-1] / 1000
    assert max(waits) == 1000
    link.opened(now_s)
    with pytest.raises(UnavailableError):
        link.broke(AWAY, 1, now_s + 1.0, 1.0)


def test_an_answered_segment_restores_the_patience() -> None:
    link = Reconnection(CONFIG, "here:1", now_s=0.0)
    for minute in range(60):
        link.opened(minute * 60.0)
        link.answered()
        assert link.broke(AWAY, 1, minute * 60.0 + 9.0, 1.0) == 100


def test_a_refusal_for_load_waits_as_long_as_it_says_and_stays_a_refusal() -> None:
    link = Reconnection(CONFIG, "here:1", now_s=0.0)
    busy = OverloadError("full", retry_after_ms=700)
    assert link.broke(busy, 1, 0.1, 0.0) == 700
    with pytest.raises(OverloadError, match=r"here:1 refused for 2\.0 s: full"):
        link.broke(busy, 1, 2.0, 0.0)


def test_a_server_may_not_send_a_device_away_for_days() -> None:
    link = Reconnection(CONFIG, "here:1", now_s=0.0)
    assert link.broke(OverloadError("full", retry_after_ms=10**12), 1, 0.1, 0.0) == CONFIG.longest_retry_after_ms
