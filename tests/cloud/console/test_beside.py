"""The console beside a server, and how it reads the server's metrics."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from voxloop_cloud.console.beside import console_beside, with_metrics
from voxloop_cloud.console.meter import Meter
from voxloop_cloud.console.strip import FIGURES
from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.server import ServerConfig
from voxloop_proto.errors import ConfigError
from voxloop_proto.metrics.page import listening, showing, url_of


def test_a_server_that_keeps_nothing_has_no_console() -> None:
    with pytest.raises(ConfigError, match="add --state DIR"), console_beside(ServerConfig(), "127.0.0.1:0", "", "info"):
        pass


def test_without_a_console_there_is_no_process_and_no_page_of_metrics() -> None:
    with console_beside(ServerConfig(), None, "", "info"):
        assert ServerConfig().metrics.listen is None


def test_a_console_has_metrics_to_read_and_an_address_that_was_chosen_stays() -> None:
    assert with_metrics(ServerConfig()).metrics.listen == "127.0.0.1:0"
    chosen = ServerConfig.model_validate({"metrics": {"listen": "9464"}})
    assert with_metrics(chosen).metrics.listen == "127.0.0.1:9464"


@pytest.fixture
def page() -> Iterator[tuple[str, Figures]]:
    """A server's page of metrics, over HTTP, and what is counted there."""
    registry = CollectorRegistry()
    figures = Figures(registry, (), None)
    with listening("127.0.0.1:0") as listener, showing(listener, registry):
        yield url_of(listener), figures


def test_the_meter_reads_a_real_page_and_remembers(page: tuple[str, Figures]) -> None:
    url, figures = page
    moments = iter([1_000.0, 1_005.0, 1_010.0])
    meter = Meter(url, 5.0, lambda: next(moments))
    place = next(n for n, each in enumerate(FIGURES) if (each.stage, each.name) == ("server", "sessions"))
    for sessions in (1, 3):
        figures.show("voxloop_server_open_sessions", sessions)
        meter.look()
    assert meter.past(place) == [(1_000.0, 1.0), (1_005.0, 3.0)]
    assert meter.past(place, since_s=1_001.0) == [(1_005.0, 3.0)]
    assert meter.fault is None


def test_the_first_that_is_counted_shows(page: tuple[str, Figures]) -> None:
    url, figures = page
    moments = iter([1_000.0, 1_005.0, 1_010.0])
    meter = Meter(url, 5.0, lambda: next(moments))
    place = next(n for n, each in enumerate(FIGURES) if (each.stage, each.name) == ("outcome", "feedback"))
    meter.look()
    assert meter.past(place) == [(1_000.0, None)]
    figures.outcome("a@1", "primary", "clicked")
    for _ in range(2):
        meter.look()
        assert meter.latest is not None
        assert (meter.latest[1][place] or 0.0) > 0.0


def test_a_server_that_is_away_is_told_until_it_is_back(page: tuple[str, Figures]) -> None:
    meter = Meter("http://127.0.0.1:9/metrics", 5.0, lambda: 1.0)
    meter.look()
    assert meter.fault is not None
    assert "does not answer" in meter.fault
    assert meter.latest is None
    meter.url = page[0]
    meter.look()
    assert meter.fault is None
    assert meter.latest is not None
