"""Where a device's figures are shown."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from voxloop_edge.metrics.figures import Figures
from voxloop_proto.metrics.page import listening, showing, url_of


@contextmanager
def showing_figures(address: str) -> Iterator[tuple[Figures, str]]:
    """Figures that can be read at HOST:PORT until the block is left, and the page's URL. Raises ConfigError."""
    registry = CollectorRegistry()
    figures = Figures(registry)
    with listening(address) as listener, showing(listener, registry):
        yield figures, url_of(listener)
