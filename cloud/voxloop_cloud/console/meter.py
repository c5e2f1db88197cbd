"""Reads the server's page of metrics every few seconds, and remembers the figures of the last hours."""

import asyncio
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from prometheus_client.parser import text_string_to_metric_families

from voxloop_cloud.alarms.registry import samples_of
from voxloop_cloud.alarms.series import History, Labels, Point, Sample, extended
from voxloop_cloud.console.strip import FIGURES, WINDOW_S

MOST_READINGS: Final = 2_880
"""Four hours at one in 5 s."""

MOST_PAGE_BYTES: Final = 16 << 20
PATIENCE_S: Final = 3.0

COUNTED: Final = ("_total", "_bucket", "_count", "_sum")
"""How the names of series end that only grow."""

_log = structlog.get_logger("voxloop.console")

Readings = tuple[float, tuple[float | None, ...]]
"""When, Unix seconds, and each figure in the order of FIGURES."""


class Meter:
    """One task looks; pages read what is remembered."""

    def __init__(self, url: str | None, interval_s: float, now_s: Callable[[], float]) -> None:
        """url: of the page; None: nothing is read. now_s: Unix seconds."""
        self.url = url
        self.interval_s = interval_s
        self.fault: str | None = None
        self._now_s = now_s
        self._history: History = {}
        self._looked_s: float | None = None
        self._lock = threading.Lock()
        self._readings: deque[Readings] = deque(maxlen=MOST_READINGS)

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while self.url is not None:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(self.interval_s)

    def look(self) -> None:
        """Reads the page once. A server that is away is told on the pages, and in the log when that begins and ends."""
        assert self.url is not None
        try:
            text = _fetch(self.url)
            samples = list(samples_of(text_string_to_metric_families(text)))
        except (OSError, ValueError, urllib.error.URLError) as error:
            if self.fault is None:
                _log.warning("console.no_metrics", url=self.url, error=str(error))
            self.fault = f"{self.url} does not answer: {error}"
            return
        at_s = self._now_s()
        reach_s = dict.fromkeys((sample.name for sample in samples), WINDOW_S)
        self._history = extended(_with_births(self._history, samples, self._looked_s), samples, at_s, reach_s)
        self._looked_s = at_s
        figures = tuple(figure.read(self._history, at_s) for figure in FIGURES)
        with self._lock:
            self._readings.append((at_s, figures))
        self.fault = None

    @property
    def latest(self) -> Readings | None:
        """The last reading."""
        with self._lock:
            return self._readings[-1] if self._readings else None

    def past(self, place: int, since_s: float = 0.0) -> list[tuple[float, float | None]]:
        """One figure over time, the oldest first. place: in FIGURES."""
        with self._lock:
            return [(at_s, figures[place]) for at_s, figures in self._readings if at_s >= since_s]


def _with_births(history: History, samples: Iterable[Sample], before_s: float | None) -> History:
    """The history in which counters that are new were 0 at the look before: they come to be with their first count, and
    the first utterances of a quiet server would show nowhere."""
    if before_s is None:
        return history
    born: dict[str, dict[Labels, tuple[Point, ...]]] = {}
    for sample in samples:
        if sample.name.endswith(COUNTED) and sample.labels not in history.get(sample.name, {}):
            born.setdefault(sample.name, {})[sample.labels] = ((before_s, 0.0),)
    return {**history, **{name: {**history.get(name, {}), **series} for name, series in born.items()}}


def _fetch(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE_S) as answer:
        content: bytes = answer.read(MOST_PAGE_BYTES + 1)
    if len(content) > MOST_PAGE_BYTES:
        raise ValueError(f"a page of more than {MOST_PAGE_BYTES} bytes")
    return content.decode()
