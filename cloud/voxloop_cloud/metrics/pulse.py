"""Once a second: how the process is, and how late its event loop comes to ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import structlog

from voxloop_cloud.metrics.figures import Figures
from voxloop_proto.process import resident_bytes

INTERVAL_S: Final = 1.0

Reader: TypeAlias = Callable[[Figures], None]
"""Reads gauges and totals of a part of the server; must be quick."""

_log = structlog.get_logger("voxloop.metrics")


@asynccontextmanager
async def taking_pulse(figures: Figures, readers: Sequence[Reader]) -> AsyncIterator[None]:
    """Reads the process, and each part by its reader, now and once a second until the block is left."""
    _read(figures, readers)
    task = asyncio.create_task(_go_on(figures, readers), name="pulse")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        _read(figures, readers)


async def _go_on(figures: Figures, readers: Sequence[Reader]) -> None:
    while True:
        due_s = time.monotonic() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        figures.observe("voxloop_server_loop_lag_seconds", max(0.0, time.monotonic() - due_s))
        _read(figures, readers)


def _read(figures: Figures, readers: Sequence[Reader]) -> None:
    figures.total("voxloop_server_cpu_seconds_total", time.process_time())
    figures.show("voxloop_server_resident_bytes", resident_bytes())
    figures.show("voxloop_server_workers", 1)
    figures.show("voxloop_uplink_unanswered_segments", figures.fleet.unanswered_segments)
    figures.show("voxloop_uplink_spool_bytes", figures.fleet.spool_bytes)
    for reader in readers:
        try:
            reader(figures)
        except Exception:  # noqa: BLE001 (the reader's boundary: the others are read, and the next second comes)
            _log.exception("reader.failed", reader=repr(reader))
