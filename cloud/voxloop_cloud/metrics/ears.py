"""Whom a server's sessions tell of their segments: those who count, and those who keep records if there are any."""

import time
from collections.abc import Callable

from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.records.heard import Heard, Recorder


class Ears:
    """A Recorder that passes on what it is told."""

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
        self._figures.hear(heard)
        if self._records is not None:
            self._records.hear(heard)
        for listener in self.listeners:
            listener(heard)
