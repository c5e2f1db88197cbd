"""Turns what the server hears into figures: a segment and its answer, a heartbeat, a session, what users did."""

import threading
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from voxloop_cloud.metrics.catalogue import SERVER_METRICS, code_name
from voxloop_cloud.metrics.fleet import Fleet
from voxloop_cloud.metrics.label_book import LabelBook
from voxloop_cloud.metrics.totals import SharedTotals
from voxloop_cloud.records.heard import Heard
from voxloop_proto.audio import SAMPLE_RATE_HZ, samples_to_ms
from voxloop_proto.errors import VoxloopError, row_of
from voxloop_proto.metrics.instruments import OTHER, Instruments, Series
from voxloop_proto.metrics.segment_report import observe_report
from voxloop_proto.v1 import voxloop_pb2 as pb

MOST_BUNDLES: Final = 20
VAD_KINDS: Final = frozenset({"webrtc", "onnx", "none"})
ROUTES: Final = frozenset({"primary", "canary", "human", "local"})
_BUSY: Final = {stage: f"voxloop_{stage}_busy_seconds" for stage in ("features", "recognizer", "decoder", "router")}


class Figures:
    """The figures of one process. May be told of things from any thread; each takes some microseconds."""

    def __init__(
        self, registry: CollectorRegistry, device_kinds: tuple[str, ...] = (), shared: Path | None = None
    ) -> None:
        """device_kinds: those that surely have a place among the 20; the others come first, get first.

        shared: folder in which workers agree on labels' values, and on what devices told; none for a process by itself.
        """
        self.registry = registry
        self.instruments = Instruments(SERVER_METRICS, registry)
        self.fleet = Fleet(SharedTotals(shared / "totals.sqlite") if shared else None)
        self._server = self.instruments.series()
        self._bundles = LabelBook(MOST_BUNDLES, shared and shared / "bundles")
        self._kinds = LabelBook(file=shared and shared / "device_kinds")
        for kind in device_kinds:
            self._kinds.value(kind)
        self._totals: dict[tuple[str, str, str], float] = {}  # by metric, bundle and code
        self._lock = threading.Lock()

    def hear(self, heard: Heard) -> None:
        """A segment was answered."""
        answer = self._answer(heard.bundle, heard.route)
        device = self._device(heard.hello)
        segment_s = samples_to_ms(heard.received_samples) / 1000.0
        answer.count("voxloop_router_segments_total")
        device.observe("voxloop_capture_background_dbfs", heard.start.raw_level_dbfs)
        if heard.received_samples:
            device.observe("voxloop_normalizer_sent_level_dbfs", heard.level_dbfs)
        if heard.end is not None:
            observe_report(device, heard.end, segment_s)
        if heard.features is not None:
            answer.observe("voxloop_features_mean_log_mel", heard.features.mean)
            answer.observe("voxloop_features_deviation_log_mel", heard.features.deviation)
        if isinstance(heard.answer, pb.Failure):
            answer.count("voxloop_router_failures_total", code=code_name(heard.answer.code))
        else:
            self._transcript(heard, heard.answer, answer, segment_s)

    def _transcript(self, heard: Heard, transcript: pb.Transcript, answer: Series, segment_s: float) -> None:
        text, provenance = transcript.text, transcript.provenance
        whole = self._all(heard)
        whole.count("voxloop_decoder_transcripts_total")
        if not text:
            whole.count("voxloop_decoder_null_transcripts_total")
        answer.count("voxloop_recognizer_audio_seconds_total", segment_s)
        answer.observe("voxloop_decoder_confidence_ratio", transcript.confidence)
        answer.observe("voxloop_decoder_segment_words", float(len(text.split())))
        if segment_s:
            answer.observe("voxloop_decoder_characters_per_second", len(text) / segment_s)
        answer.observe("voxloop_router_latency_seconds", provenance.server_latency_ms / 1000.0)
        for timing in provenance.timings:
            name = _BUSY.get(timing.stage)
            if name is not None:
                answer.observe(name, timing.busy_ms / 1000.0)
            if timing.stage == "recognizer":
                answer.observe("voxloop_queue_wait_seconds", timing.wait_ms / 1000.0)

    def heartbeat(self, stream: int, hello: pb.Hello, said: pb.Heartbeat) -> None:
        """A device says how it is. stream: any number that no other open one has."""
        device, rise = self._device(hello), self.fleet.hear(stream, hello, said)
        device.observe("voxloop_device_cpu_ratio", said.cpu_ratio)
        device.observe("voxloop_device_resident_bytes", said.resident_bytes)
        device.count("voxloop_capture_lost_seconds_total", rise.lost_samples / SAMPLE_RATE_HZ)
        device.count("voxloop_uplink_dropped_segments_total", rise.dropped_segments)
        device.count("voxloop_uplink_dropped_seconds_total", rise.dropped_samples / SAMPLE_RATE_HZ)

    def opened(self) -> None:
        """A session was opened."""
        self._server.count("voxloop_server_sessions_total")

    def refused(self, error: VoxloopError) -> None:
        """A session was refused, or broken off."""
        self._server.count("voxloop_server_refused_sessions_total", code=code_name(row_of(error).code))

    def outcome(self, bundle: str, route: str, code: str) -> None:
        """What became of a text that this bundle and route gave: redone, typed, clicked, corrected or redo_detected."""
        self._answer(bundle, route).count("voxloop_outcome_feedback_total", code=code)

    def total(self, name: str, value: float, bundle: str = "", code: str = "") -> None:
        """Raises a counter to what it has come to in this process. bundle, code: its labels, if it has them."""
        with self._lock:
            before = self._totals.get((name, bundle, code), 0.0)
            self._totals[name, bundle, code] = max(before, value)
        if value > before:
            series = self.instruments.series(bundle=self._bundles.value(bundle)) if bundle else self._server
            series.count(name, value - before, code)

    def show(self, name: str, value: float) -> None:
        """Sets a gauge."""
        self._server.show(name, value)

    def observe(self, name: str, value: float) -> None:
        """Puts a measure of the server's own into its histogram."""
        self._server.observe(name, value)

    def _device(self, hello: pb.Hello) -> Series:
        return self.instruments.series(vad_kind=_vad_kind(hello), device_kind=self._kinds.value(hello.device_kind))

    def _answer(self, bundle: str, route: str) -> Series:
        return self.instruments.series(bundle=self._bundles.value(bundle), route=_route(route))

    def _all(self, heard: Heard) -> Series:
        return self.instruments.series(
            bundle=self._bundles.value(heard.bundle),
            route=_route(heard.route),
            vad_kind=_vad_kind(heard.hello),
            device_kind=self._kinds.value(heard.hello.device_kind),
        )


def _vad_kind(hello: pb.Hello) -> str:
    return hello.vad.kind if hello.vad.kind in VAD_KINDS else OTHER


def _route(route: str) -> str:
    return route if route in ROUTES else OTHER
