"""Where a server's figures are kept and shown: in its one process, or in the files of its workers."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from voxloop_cloud.metrics.catalogue import SERVER_METRICS
from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.metrics.metrics_config import MetricsConfig
from voxloop_cloud.metrics.worker_files import all_workers, count_in, forget_gauges, open_worker_files
from voxloop_proto.address import is_loopback
from voxloop_proto.metrics.page import listening, showing, url_of

_log = structlog.get_logger("voxloop.metrics")


@dataclass(frozen=True, slots=True)
class Exposition:
    """listener: where the page is, shared by all workers; None if nobody is to see it. folder: of the workers' files;
    None for a process by itself."""

    config: MetricsConfig
    listener: socket.socket | None = None
    folder: Path | None = None

    @property
    def url(self) -> str:
        """Of the page; empty if there is none."""
        return url_of(self.listener) if self.listener is not None else ""

    @contextmanager
    def recording(self, place: int = 0) -> Iterator[Figures]:
        """Keeps and shows this process's figures until the block is left. place: of the worker that it is."""
        if self.folder is not None:
            count_in(self.folder, place)
        figures = Figures(CollectorRegistry(), self.config.device_kinds, self.folder)
        if self.listener is None:
            yield figures
            return
        with showing(self.listener, self.all_figures(figures)):
            yield figures

    def all_figures(self, own: Figures) -> CollectorRegistry:
        """What the page shows: the figures of all workers, or of the one process that there is."""
        return all_workers(self.folder, SERVER_METRICS) if self.folder else own.registry

    def forget(self, place: int) -> None:
        """The worker at a place has ended."""
        if self.folder is not None:
            forget_gauges(self.folder, place)


@contextmanager
def open_exposition(config: MetricsConfig, workers: int = 1, *, is_read: bool = False) -> Iterator[Exposition]:
    """Takes what the settings name, before any worker is forked, until the block is left.

    is_read: by the server itself, whether there is a page or not. Raises ConfigError if the address cannot be had, or
    there is no room for the workers' files.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(listening(config.listen)) if config.listen is not None else None
        if config.listen is not None and not is_loopback(config.listen):
            _log.warning("metrics.in_the_open", listen=config.listen, hint="whoever reaches this address can read them")
        shares = workers > 1 and (is_read or listener is not None)
        yield Exposition(config, listener, stack.enter_context(open_worker_files(workers)) if shares else None)
