"""The figures of several workers on one page: prometheus_client's files, one set for each worker's place.

A place is a number below the count of workers. Who takes over the place of one that died goes on with its files: no
count is lost, and there are never more files than places. Files by process id, the library's default, would stay behind
at each death, and a page would take ever longer to make.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Metric, multiprocess, values
from prometheus_client.registry import Collector

from voxloop_proto.errors import ConfigError
from voxloop_proto.metrics.spec import MetricSpec

_log = structlog.get_logger("voxloop.metrics")
_MEMORY: Final = Path("/dev/shm")
"""Where it is there and large enough: figures need no disk, and a full disk must not end a worker that counts."""

_PREFIX: Final = "voxloop-metrics-"
_IN_USE: Final = "in_use"
"""A file that the server and its workers keep locked; whose lock is free, they are all gone."""

_COUNT_BYTES: Final = {"histogram": 4 << 20, "counter": 1 << 20}
_GAUGE_BYTES: Final = {"gauge_livesum": 64 << 10, "gauge_livemax": 64 << 10}
"""By kind of file. They are reserved: written to where there is no room, a mapped file ends the process."""


@contextmanager
def open_worker_files(workers: int) -> Iterator[Path]:
    """A folder for the files of so many workers, until the block is left. Raises ConfigError if there is no room.

    Those that servers left behind which were killed with all their workers go first.
    """
    for home in {_MEMORY, Path(gettempdir())}:
        _sweep(home)
    with TemporaryDirectory(prefix=_PREFIX, dir=_home(workers)) as name, _used(Path(name)) as folder:
        for place in range(workers):
            _reserve(folder, place, _COUNT_BYTES | _GAUGE_BYTES)
        yield folder


def count_in(folder: Path, place: int) -> None:
    """From now on this process's metrics are kept in the files of its place. To be called before any is made."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


def forget_gauges(folder: Path, place: int) -> None:
    """The worker at a place has ended: what it has now is nothing. What it counted stays."""
    try:
        _reserve(folder, place, _GAUGE_BYTES)
    except ConfigError as error:  # whoever takes the place makes files, and there may be room by then
        _log.error("gauges.not_reserved", place=place, error=error.message)
        for kind in _GAUGE_BYTES:
            (folder / f"{kind}_{place}.db").unlink(missing_ok=True)


def all_workers(folder: Path, specs: Iterable[MetricSpec]) -> CollectorRegistry:
    """A registry that adds up all places."""
    registry = CollectorRegistry()
    registry.register(_AllWorkers(folder, specs))
    return registry


class _AllWorkers(Collector):
    """As the library adds up, save that a histogram of signed values has no sum, as it has none in one process."""

    def __init__(self, folder: Path, specs: Iterable[MetricSpec]) -> None:
        self._files = multiprocess.MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
        self._sums = {f"{spec.name}_sum" for spec in specs if spec.is_signed}

    def collect(self) -> Iterator[Metric]:
        """All families that any worker has."""
        for family in self._files.collect():  # type: ignore[no-untyped-call]
            family.samples = [sample for sample in family.samples if sample.name not in self._sums]
            yield family


@contextmanager
def _used(folder: Path) -> Iterator[Path]:
    """Says so to other servers, until the block is left and no process that was forked in it is left either."""
    with (folder / f"{_IN_USE}.new").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.replace(file.name, folder / _IN_USE)
        yield folder


def _sweep(home: Path) -> None:
    for in_use in home.glob(f"{_PREFIX}*/{_IN_USE}"):
        with suppress(OSError), in_use.open("rb") as file:  # held, another's, or gone already
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(in_use.parent)
            _log.info("old.figures.deleted", folder=str(in_use.parent))


def _home(workers: int) -> Path | None:
    """Where there is room; None for the system's folder of temporary files."""
    needed_bytes = 2 * workers * sum((_COUNT_BYTES | _GAUGE_BYTES).values())
    if not os.access(_MEMORY, os.W_OK | os.X_OK) or shutil.disk_usage(_MEMORY).free < needed_bytes:
        return None
    return _MEMORY


def _reserve(folder: Path, place: int, sizes: dict[str, int]) -> None:
    """Puts empty files there, each at once: a page may be made at any moment."""
    for kind, size_bytes in sizes.items():
        new = folder / f"{kind}_{place}.new"
        try:
            with new.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
            new.replace(folder / f"{kind}_{place}.db")
        except OSError as error:
            raise ConfigError(
                f"no room for a worker's metrics in {folder.parent}: {size_bytes >> 10} KiB ({error.strerror}); "
                "make room there, name another folder with TMPDIR, or leave out --metrics and set alarms.on = false"
            ) from error
