"""Turns what a listener is told, and how its process is, into figures."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CollectorRegistry

from voxloop_edge.heartbeat import Vitals
from voxloop_edge.metrics.catalogue import DEVICE_METRICS
from voxloop_edge.replies import Reply, SegmentFailed, TranscriptArrived
from voxloop_edge.safekeeping import Safekeeping
from voxloop_edge.uplink import Uplink
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.events import SegmentEnded, SegmentStarted
from voxloop_proto.metrics.instruments import Instruments
from voxloop_proto.metrics.segment_report import observe_report
from voxloop_proto.process import resident_bytes
from voxloop_proto.v1 import voxloop_pb2 as pb

INTERVAL_S: Final = 1.0


class Figures:
    """The figures of one device; a watcher of its listener."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._instruments = Instruments(DEVICE_METRICS, registry)
        self._own = self._instruments.series()
        self._series = self._own
        self._totals: dict[str, float] = {}

    def begin(self, hello: pb.Hello) -> None:
        """What the device is: the labels of its segments."""
        self._series = self._instruments.series(vad_kind=hello.vad.kind, device_kind=hello.device_kind)

    def level(self, dbfs: float, until_sample: int) -> None:  # noqa: ARG002 (a watcher's)
        """The level of the last sound."""
        self._own.show("voxloop_capture_level_dbfs", dbfs)

    def segment(self, event: SegmentStarted | SegmentEnded) -> None:
        """Counts nothing: a segment counts with its answer."""

    def reply(self, reply: Reply) -> None:
        """Counts an answer, and with it what was measured on its segment."""
        match reply:
            case TranscriptArrived():
                self._transcript(reply)
            case SegmentFailed():
                self._series.count("voxloop_router_failures_total")
            case _:
                pass

    def _transcript(self, reply: TranscriptArrived) -> None:
        end = reply.end
        observe_report(self._series, end, (end.end_sample - reply.start_sample) / SAMPLE_RATE_HZ)
        self._series.observe("voxloop_uplink_round_trip_seconds", reply.latency_ms / 1000.0)
        self._series.observe("voxloop_outcome_latency_seconds", reply.user_latency_ms / 1000.0)
        self._series.count("voxloop_decoder_transcripts_total")
        if not reply.transcript.text:
            self._series.count("voxloop_decoder_null_transcripts_total")

    @asynccontextmanager
    async def reading(self, vitals: Vitals, uplink: Uplink, keeping: Safekeeping) -> AsyncIterator[None]:
        """Once a second, until the block is left: how the device is."""

        async def go_on() -> None:
            while True:
                self._read(vitals, uplink, keeping)
                await asyncio.sleep(INTERVAL_S)

        task = asyncio.create_task(go_on(), name="metrics")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._read(vitals, uplink, keeping)

    def _read(self, vitals: Vitals, uplink: Uplink, keeping: Safekeeping) -> None:
        totals = {
            "voxloop_device_cpu_seconds_total": time.process_time(),
            "voxloop_capture_heard_seconds_total": vitals.sample / SAMPLE_RATE_HZ,
            "voxloop_capture_lost_seconds_total": vitals.lost_samples / SAMPLE_RATE_HZ,
            "voxloop_uplink_sent_bytes_total": uplink.sent_bytes,
            "voxloop_uplink_sent_audio_bytes_total": uplink.audio_bytes,
            "voxloop_uplink_connections_total": uplink.connections,
            "voxloop_uplink_dropped_segments_total": keeping.dropped_segments,
            "voxloop_uplink_dropped_seconds_total": keeping.dropped_samples / SAMPLE_RATE_HZ,
        }
        for name, total in totals.items():
            self._own.count(name, max(0.0, total - self._totals.get(name, 0.0)))
        self._totals = totals
        self._own.show("voxloop_device_resident_bytes", resident_bytes())
        self._own.show("voxloop_uplink_open_links", float(uplink.away_since_s is None))
        self._own.show("voxloop_uplink_unanswered_segments", len(uplink.outbox))
        self._own.show("voxloop_uplink_spool_bytes", keeping.spool_bytes)
