"""Whom a server's sessions tell of their segments: those who count, and those who keep records if there are any."""

import time
from collections.abc import Callable

import structlog

from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.records.heard import Heard, Recorder

_log = structlog.get_logger("voxloop.metrics")


class Ears:
    """A Recorder that passes on what it is told. Who fails at it is told in the log: the session goes on."""

    def __init__(self, figures: Figures, records: Recorder | None) -> None:
        self._figures = figures
        self._records = records
        self.listeners: list[Callable[[Heard], None]] = []

    @property
    def keeps_sound(self) -> bool:
        """Whether records are kept, and sound with them."""
        return self._records is not None and self._records.keeps_sound

    def now_s(self) -> float:
        """Unix seconds."""
        return time.time() if self._records is None else self._records.now_s()

    def hear(self, heard: Heard) -> None:
        """Takes a segment; returns at once."""
        keepers = [] if self._records is None else [self._records.hear]
        for hear in (self._figures.hear, *keepers, *self.listeners):
            try:
                hear(heard)
            except Exception:  # noqa: BLE001 (the listener's boundary: the device gets its answer)
                _log.exception("listener.failed", session=heard.hello.session_id, segment=heard.start.segment_id)
