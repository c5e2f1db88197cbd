"""The page that Prometheus reads, over real sockets."""

import gzip
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from voxloop_proto.errors import ConfigError
from voxloop_proto.metrics import page
from voxloop_proto.metrics.instruments import Instruments
from voxloop_proto.metrics.page import listening, showing, url_of
from voxloop_proto.metrics.page_address import check_page_address
from voxloop_proto.metrics.spec import counter, histogram

SPECS = (
    counter("voxloop_test_things_total", "things", "Things", ("code",), ("big", "small")),
    histogram("voxloop_test_level_dbfs", "dBFS", "Level", (), (-20.0, 0.0), -200.0, 10.0),
)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def url(registry: CollectorRegistry) -> Iterator[str]:
    with listening("127.0.0.1:0") as listener, showing(listener, registry):
        yield url_of(listener)


def read(url: str) -> dict[str, dict[str, float]]:
    """By sample name and `code`."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[sample.labels.get("code", "")] = sample.value
    return found


def test_what_was_counted_is_on_the_page(registry: CollectorRegistry, url: str) -> None:
    series = Instruments(SPECS, registry).series()
    series.count("voxloop_test_things_total", 2, code="big")
    series.count("voxloop_test_things_total", code="something else")
    assert series.observe("voxloop_test_level_dbfs", -30.0)
    assert not series.observe("voxloop_test_level_dbfs", float("nan"))
    found = read(url)
    assert found["voxloop_test_things_total"] == {"big": 2, "small": 0, "other": 1}
    assert found["voxloop_test_level_dbfs_count"] == {"": 1}
    assert set(found) == {name for spec in SPECS for name in spec.sample_names}


def test_a_reader_that_takes_gzip_gets_it(url: str) -> None:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        gzip.decompress(answer.read())


def test_nothing_but_reading_is_allowed(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, data=b"x", timeout=10)
    with caught.value as answer:
        assert answer.code == 405


@pytest.mark.parametrize("dribbles", [False, True], ids=["says nothing", "a byte now and then"])
def test_a_slow_reader_keeps_others_waiting_no_longer_than_the_patience(
    url: str, dribbles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PATIENCE_S", 0.5)
    host, port = url.removeprefix("http://").removesuffix("/metrics").split(":")
    over = threading.Event()

    def dribble(slow: socket.socket) -> None:
        with suppress(OSError):  # it was sent away
            while dribbles and not over.wait(0.05):
                slow.sendall(b"x")

    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"GET /metrics HTT")
        thread = threading.Thread(target=dribble, args=(slow,))
        thread.start()
        try:
            read(url)
        finally:
            over.set()
            thread.join()


def test_a_port_that_is_taken_is_told_with_what_to_do(registry: CollectorRegistry) -> None:
    with listening("127.0.0.1:0") as listener:
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConfigError, match="name another with --metrics"), listening(taken):
            pass


def test_the_socket_is_free_again_once_the_page_is_closed(registry: CollectorRegistry) -> None:
    with listening("127.0.0.1:0") as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with showing(listener, registry):
            read(url_of(listener))
    with listening(address):
        pass


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("9464", "127.0.0.1:9464"),
        ("0", "127.0.0.1:0"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("[::1]:9", "[::1]:9"),
        ("pi:9", "pi:9"),
    ],
)
def test_a_port_alone_is_one_of_this_machine(said: str, address: str) -> None:
    assert check_page_address(said) == address


@pytest.mark.parametrize("said", ["", "65536", "host:", ":9464", "http://pi:9", "::1:9", "a b:9", "-1", "9464/x"])
def test_an_address_that_cannot_be_is_told_what_is_allowed(said: str) -> None:
    with pytest.raises(ValueError, match="allowed is HOST:PORT"):
        check_page_address(said)


def test_a_page_on_ipv6_says_so() -> None:
    with listening("[::1]:0") as listener:
        assert url_of(listener).startswith("http://[::1]:")
