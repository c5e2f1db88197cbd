"""Spans as a collector receives them: a real one, over OTLP."""

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.cloud.metrics.heard_segments import full_report, heard

from voxloop_cloud.metrics.spans import open_spans
from voxloop_cloud.records.heard import Heard
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import voxloop_pb2 as pb

STAGES = ["framer", "vad", "segmenter", "normalizer", "encoder", "router", "features", "recognizer", "decoder"]


class Collector(otlp_grpc.TraceServiceServicer):
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def Export(  # noqa: N802 (the name is the protocol's)
        self, request: otlp.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> otlp.ExportTraceServiceResponse:
        """Takes a batch."""
        self.spans += [span for whole in request.resource_spans for scope in whole.scope_spans for span in scope.spans]
        return otlp.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    found = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    otlp_grpc.add_TraceServiceServicer_to_server(found, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found, f"http://127.0.0.1:{port}"
    server.stop(0).wait()


def send(endpoint: str, *segments: Heard) -> None:
    async def run() -> None:
        async with open_spans(endpoint) as spans:
            assert spans is not None
            for segment in segments:
                spans.hear(segment)

    asyncio.run(run())


def test_a_segment_is_a_span_with_a_child_for_each_stage(collector: tuple[Collector, str]) -> None:
    found, endpoint = collector
    send(endpoint, heard())
    [segment] = [span for span in found.spans if not span.parent_span_id]
    children = [span for span in found.spans if span.parent_span_id]
    assert segment.name == "segment"
    assert [child.name for child in children] == STAGES
    assert {child.parent_span_id for child in children} == {segment.span_id}
    [recognizer] = [child for child in children if child.name == "recognizer"]
    assert recognizer.end_time_unix_nano - recognizer.start_time_unix_nano == 20_000_000
    assert all(segment.start_time_unix_nano <= child.start_time_unix_nano for child in children)
    assert all(child.end_time_unix_nano <= segment.end_time_unix_nano for child in children)


def test_a_span_says_neither_what_was_said_nor_by_which_device(collector: tuple[Collector, str]) -> None:
    found, endpoint = collector
    send(endpoint, heard("a secret"))
    everything = " ".join(str(span) for span in found.spans)
    assert "small@1" in everything
    assert "secret" not in everything
    assert "kitchen" not in everything


def test_a_failure_is_an_error_and_a_time_that_cannot_be_is_left_out(collector: tuple[Collector, str]) -> None:
    found, endpoint = collector
    report = full_report()
    report.timings.add(stage="lie", busy_ms=float("inf"))
    send(endpoint, heard(failure=pb.FAILURE_CODE_MODEL, report=report))
    [segment] = [span for span in found.spans if not span.parent_span_id]
    assert segment.status.code == Status.STATUS_CODE_ERROR
    assert [span.name for span in found.spans if span.parent_span_id] == STAGES[:5]


def test_without_an_endpoint_there_are_none() -> None:
    async def run() -> None:
        async with open_spans(None) as spans:
            assert spans is None

    asyncio.run(run())


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"voxloop\[cloud,otel\]"):
        send("http://127.0.0.1:1", heard())
