"""OpenTelemetry spans: one for each segment, a child for each stage. With the extra `otel`, and where asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from voxloop_cloud.records.heard import Heard
from voxloop_proto import __version__
from voxloop_proto.errors import ConfigError
from voxloop_proto.telemetry import StageTiming
from voxloop_proto.v1 import voxloop_pb2 as pb

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

MOST_WAITING: Final = 2_048
"""Spans that wait for the collector; what comes while so many wait is dropped."""

EXPORT_S: Final = 2
"""How long the collector may take for a batch, and how long the end of a server waits for it."""

LONGEST_MS: Final = 3_600_000.0


class Spans:
    """Takes segments as they are answered."""

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry import trace  # noqa: PLC0415 (the extra)
        from opentelemetry.context import Context  # noqa: PLC0415

        self._tracer = tracer
        self._within = trace.set_span_in_context
        self._error = trace.Status(trace.StatusCode.ERROR)
        self._no_parent = Context()

    def hear(self, heard: Heard) -> None:
        """Makes the segment's spans. Lengths are measured; that stages follow each other at once is drawn so."""
        timings = list(_timings(heard))
        end_ns = round(heard.arrived_s * 1e9)
        at_ns = end_ns - _to_ns(sum(timing.busy_ms + timing.wait_ms for timing in timings))
        segment = self._tracer.start_span("segment", self._no_parent, attributes=_attributes(heard), start_time=at_ns)
        within = self._within(segment)
        for timing in timings:
            at_ns += _to_ns(timing.wait_ms)
            waited = {"voxloop.wait_ms": timing.wait_ms}
            stage = self._tracer.start_span(timing.stage, within, attributes=waited, start_time=at_ns)
            at_ns += _to_ns(timing.busy_ms)
            stage.end(at_ns)
        if isinstance(heard.answer, pb.Failure):
            segment.set_status(self._error)
        segment.end(max(end_ns, at_ns))


@asynccontextmanager
async def open_spans(endpoint: str | None) -> AsyncIterator[Spans | None]:
    """Spans that go to an OTLP collector, http://HOST:PORT, until the block is left; None without an endpoint.

    Raises ConfigError if the extra is not installed.
    """
    if endpoint is None:
        yield None
        return
    provider = _provider(endpoint)
    try:
        yield Spans(provider.get_tracer("voxloop", __version__))
    finally:
        await asyncio.to_thread(_close, provider)


def _provider(endpoint: str) -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 (the extra)
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"metrics.otlp = {endpoint} needs {error.name}: install voxloop[cloud,otel], or leave the setting out"
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": "voxloop", "service.version": __version__}))
    exporter = OTLPSpanExporter(endpoint, insecure=endpoint.startswith("http://"), timeout=EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING))
    return provider


def _close(provider: TracerProvider) -> None:
    provider.force_flush(EXPORT_S * 1000)
    provider.shutdown()


def _attributes(heard: Heard) -> dict[str, str | int | bool]:
    """What a segment is found by; not what was said, nor by which device."""
    answer = heard.answer
    return {
        "voxloop.session_id": heard.hello.session_id,
        "voxloop.segment_id": heard.start.segment_id,
        "voxloop.device_kind": heard.hello.device_kind,
        "voxloop.bundle": heard.bundle,
        "voxloop.route": heard.route,
        "voxloop.samples": heard.received_samples,
        "voxloop.is_null": isinstance(answer, pb.Transcript) and not answer.text,
    }


def _timings(heard: Heard) -> Iterator[StageTiming]:
    """The device's stages, then the server's, as far as their times can be."""
    device = heard.end.report.timings if heard.end is not None else ()
    server = heard.answer.provenance.timings if isinstance(heard.answer, pb.Transcript) else ()
    for timing in (*device, *server):
        if 0.0 <= timing.busy_ms <= LONGEST_MS and 0.0 <= timing.wait_ms <= LONGEST_MS:
            yield StageTiming(timing.stage, timing.busy_ms, timing.wait_ms)


def _to_ns(ms: float) -> int:
    return round(ms * 1e6)
