"""Every metric of a device, by name. Those of its stages are the server's, too: see voxloop_proto.metrics."""

from typing import Final

from voxloop_proto.metrics.segment_report import DEVICE, REPORT_METRICS
from voxloop_proto.metrics.spec import LATENCY_S, MetricSpec, counter, gauge, histogram

DEVICE_METRICS: Final[tuple[MetricSpec, ...]] = (
    *REPORT_METRICS,
    counter("voxloop_device_cpu_seconds_total", "s", "CPU time of this process"),
    gauge("voxloop_device_resident_bytes", "bytes", "Memory of this process"),
    gauge("voxloop_capture_level_dbfs", "dBFS", "Level of the last 100 ms"),
    counter("voxloop_capture_heard_seconds_total", "s", "Sound that was taken from the source"),
    counter("voxloop_capture_lost_seconds_total", "s", "Sound that came faster than it could be taken"),
    counter("voxloop_uplink_sent_bytes_total", "bytes", "Messages to the server, sent again ones included"),
    counter("voxloop_uplink_sent_audio_bytes_total", "bytes", "Sound in these messages, as encoded"),
    counter("voxloop_uplink_connections_total", "connections", "Connections that were tried or made"),
    gauge("voxloop_uplink_open_links", "links", "1 while the server is there, else 0"),
    gauge("voxloop_uplink_unanswered_segments", "segments", "Segments that have no answer yet"),
    gauge("voxloop_uplink_spool_bytes", "bytes", "Segments on disk"),
    counter("voxloop_uplink_dropped_segments_total", "segments", "Segments that had to give way or were damaged"),
    counter("voxloop_uplink_dropped_seconds_total", "s", "Sound in segments that had to give way or were damaged"),
    histogram(
        "voxloop_uplink_round_trip_seconds", "s", "From sending a segment's end to its transcript", DEVICE, LATENCY_S
    ),
    histogram(
        "voxloop_outcome_latency_seconds",
        "s",
        "From the last voiced sample to the transcript: what a user waits",
        DEVICE,
        LATENCY_S,
    ),
    counter("voxloop_decoder_transcripts_total", "transcripts", "Transcripts that came", DEVICE),
    counter("voxloop_decoder_null_transcripts_total", "transcripts", "Transcripts without a word", DEVICE),
    counter("voxloop_router_failures_total", "failures", "Segments that the server could not transcribe", DEVICE),
)
