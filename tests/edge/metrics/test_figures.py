"""What a device is told, and how it is, as figures."""

import asyncio
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from voxloop_edge.heartbeat import Vitals
from voxloop_edge.metrics import figures as module
from voxloop_edge.metrics.figures import Figures
from voxloop_edge.outbox import Outbox
from voxloop_edge.replies import SegmentFailed, TranscriptArrived
from voxloop_edge.safekeeping import no_safekeeping
from voxloop_edge.uplink import Uplink
from voxloop_proto.errors import ModelError
from voxloop_proto.v1 import voxloop_pb2 as pb

LABELS = {"vad_kind": "webrtc", "device_kind": "linux-aarch64"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def figures(registry: CollectorRegistry) -> Figures:
    found = Figures(registry)
    found.begin(pb.Hello(device_kind="linux-aarch64", vad=pb.VadSettings(kind="webrtc")))
    return found


def arrived(text: str = "play jazz") -> TranscriptArrived:
    report = pb.EdgeReport(raw_level_dbfs=-30.0, timings=[pb.StageTiming(stage="vad", busy_ms=2.0)])
    end = pb.SegmentEnd(end_sample=48_000, reason=pb.END_REASON_SILENCE, report=report)
    return TranscriptArrived(pb.Transcript(text=text), 16_000, end, latency_ms=40.0, user_latency_ms=340.0)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("voxloop_capture_segment_seconds_sum", 2.0),
        ("voxloop_vad_busy_seconds_sum", 0.002),
        ("voxloop_uplink_round_trip_seconds_sum", 0.04),
        ("voxloop_outcome_latency_seconds_sum", 0.34),
        ("voxloop_decoder_transcripts_total", 2.0),
        ("voxloop_decoder_null_transcripts_total", 1.0),
        ("voxloop_router_failures_total", 1.0),
    ],
)
def test_answers_are_counted_with_what_was_measured_on_their_segments(
    registry: CollectorRegistry, figures: Figures, metric: str, value: float
) -> None:
    figures.reply(arrived())
    figures.reply(SegmentFailed(2, ModelError("no")))
    if metric.endswith("transcripts_total"):
        figures.reply(arrived(""))
    assert registry.get_sample_value(metric, LABELS) == pytest.approx(value)


def test_how_the_device_is_is_read_again_and_again(
    registry: CollectorRegistry, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL_S", 0.01)

    async def run() -> None:
        vitals, keeping = Vitals(sample=16_000), no_safekeeping()
        uplink = Uplink(Outbox(1 << 20), away_since_s=1.0, sent_bytes=10)
        async with figures.reading(vitals, uplink, keeping):
            await asyncio.sleep(0.02)
            assert registry.get_sample_value("voxloop_uplink_open_links") == 0
            vitals.sample, vitals.lost_samples = 48_000, 8_000
            uplink.away_since_s, uplink.sent_bytes = None, 25
        keeping.close()

    asyncio.run(run())
    assert registry.get_sample_value("voxloop_uplink_open_links") == 1
    assert registry.get_sample_value("voxloop_uplink_sent_bytes_total") == 25
    assert registry.get_sample_value("voxloop_capture_heard_seconds_total") == 3
    assert registry.get_sample_value("voxloop_capture_lost_seconds_total") == 0.5
    memory_bytes = registry.get_sample_value("voxloop_device_resident_bytes")
    assert memory_bytes is not None
    assert memory_bytes > 1e6


def test_a_device_that_shows_nothing_does_not_load_the_library_for_it() -> None:
    code = "import sys, voxloop_edge.commands.listen; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
