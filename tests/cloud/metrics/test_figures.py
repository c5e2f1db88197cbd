"""What a segment, a heartbeat and a session come to in figures; and that no device can make them too many or wrong."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.cloud.metrics.heard_segments import full_report, heard

from voxloop_cloud.metrics.catalogue import SERVER_METRICS
from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.metrics.fleet import Fleet
from voxloop_cloud.metrics.totals import OwnTotals, SharedTotals
from voxloop_proto.errors import OverloadError
from voxloop_proto.v1 import voxloop_pb2 as pb

DEVICE = {"vad_kind": "webrtc", "device_kind": "raspberry-pi-5"}
ANSWER = {"bundle": "small@1", "route": "primary"}
SLICES_OF_A_HOSTILE_FLEET = 21 * 4


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def figures(registry: CollectorRegistry) -> Figures:
    return Figures(registry)


def samples(registry: CollectorRegistry) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield sample.name, sample.labels, sample.value


@pytest.mark.parametrize(
    ("metric", "labels", "value"),
    [
        ("voxloop_capture_segment_seconds_sum", DEVICE, 2.0),
        ("voxloop_capture_raw_level_dbfs_bucket", {**DEVICE, "le": "-30.0"}, 1.0),
        ("voxloop_capture_background_dbfs_bucket", {**DEVICE, "le": "-60.0"}, 1.0),
        ("voxloop_capture_snr_db_bucket", {**DEVICE, "le": "25.0"}, 0.0),
        ("voxloop_capture_clipped_ratio_count", DEVICE, 1.0),
        ("voxloop_capture_busy_seconds_sum", DEVICE, 0.00025),
        ("voxloop_vad_busy_seconds_sum", DEVICE, 0.0015),
        ("voxloop_vad_voiced_ratio_sum", DEVICE, 0.7),
        ("voxloop_vad_segments_total", {**DEVICE, "code": "silence"}, 1.0),
        ("voxloop_normalizer_busy_seconds_sum", DEVICE, 0.00075),
        ("voxloop_normalizer_gain_db_bucket", {**DEVICE, "le": "10.0"}, 1.0),
        ("voxloop_normalizer_sent_level_dbfs_bucket", {**DEVICE, "le": "-25.0"}, 0.0),
        ("voxloop_uplink_busy_seconds_sum", DEVICE, 0.000125),
        ("voxloop_queue_wait_seconds_sum", ANSWER, 0.004),
        ("voxloop_features_busy_seconds_sum", ANSWER, 0.002),
        ("voxloop_features_mean_log_mel_bucket", {**ANSWER, "le": "-7.0"}, 1.0),
        ("voxloop_features_deviation_log_mel_sum", ANSWER, 3.25),
        ("voxloop_recognizer_busy_seconds_sum", ANSWER, 0.02),
        ("voxloop_recognizer_audio_seconds_total", ANSWER, 2.0),
        ("voxloop_decoder_busy_seconds_sum", ANSWER, 0.003),
        ("voxloop_decoder_transcripts_total", {**ANSWER, **DEVICE}, 1.0),
        ("voxloop_decoder_null_transcripts_total", {**ANSWER, **DEVICE}, 0.0),
        ("voxloop_decoder_confidence_ratio_sum", ANSWER, 0.75),
        ("voxloop_decoder_characters_per_second_sum", ANSWER, 4.5),
        ("voxloop_decoder_segment_words_sum", ANSWER, 2.0),
        ("voxloop_router_segments_total", ANSWER, 1.0),
        ("voxloop_router_busy_seconds_sum", ANSWER, 0.0000625),
        ("voxloop_router_failures_total", {**ANSWER, "code": "overload"}, 0.0),
        ("voxloop_router_latency_seconds_sum", ANSWER, 0.012),
    ],
)
def test_a_segment_and_its_answer_are_counted_at_each_stage(
    registry: CollectorRegistry, figures: Figures, metric: str, labels: dict[str, str], value: float
) -> None:
    figures.hear(heard())
    assert registry.get_sample_value(metric, labels) == pytest.approx(value, abs=1e-7)


def test_a_null_transcript_counts_as_a_transcript_and_as_null(registry: CollectorRegistry, figures: Figures) -> None:
    figures.hear(heard(""))
    assert registry.get_sample_value("voxloop_decoder_transcripts_total", ANSWER | DEVICE) == 1
    assert registry.get_sample_value("voxloop_decoder_null_transcripts_total", ANSWER | DEVICE) == 1


def test_a_failure_counts_by_its_code_and_not_as_a_transcript(registry: CollectorRegistry, figures: Figures) -> None:
    figures.hear(heard(failure=pb.FAILURE_CODE_MODEL))
    assert registry.get_sample_value("voxloop_router_failures_total", {**ANSWER, "code": "model"}) == 1
    assert registry.get_sample_value("voxloop_router_segments_total", ANSWER) == 1
    assert registry.get_sample_value("voxloop_decoder_transcripts_total", ANSWER | DEVICE) is None


def test_ten_thousand_kinds_of_devices_make_no_more_series_than_twenty(
    registry: CollectorRegistry, figures: Figures
) -> None:
    for number in range(10_000):
        figures.hear(heard(device_kind=f"kind-{number}", vad_kind=f"vad-{number % 50}"))
    kinds = {labels["device_kind"] for _, labels, _ in samples(registry) if "device_kind" in labels}
    assert kinds == {f"kind-{number}" for number in range(20)} | {"other"}
    assert {labels["vad_kind"] for _, labels, _ in samples(registry) if "vad_kind" in labels} == {"other"}
    transcripts = [value for name, _, value in samples(registry) if name == "voxloop_decoder_transcripts_total"]
    assert sum(transcripts) == 10_000


def test_the_most_that_a_hostile_fleet_can_make_of_a_page_is_bounded() -> None:
    device = sum(
        len(spec.buckets) + 3 if spec.buckets else max(1, len(spec.codes) + 1)
        for spec in SERVER_METRICS
        if {"device_kind"} <= set(spec.labels) and "bundle" not in spec.labels
    )
    assert device * SLICES_OF_A_HOSTILE_FLEET < 20_000


@pytest.mark.parametrize("kind", ["", "a b", 'quote"', "line\nbreak", "back\\slash", "ünïcode", "x" * 200, "-dash"])
def test_a_kind_that_is_no_plain_name_is_another(registry: CollectorRegistry, figures: Figures, kind: str) -> None:
    figures.hear(heard(device_kind=kind))
    labels = {"vad_kind": "webrtc", "device_kind": "other"}
    assert registry.get_sample_value("voxloop_capture_segment_seconds_count", labels) == 1


def test_kinds_that_the_operator_names_have_their_place_however_many_came_before(registry: CollectorRegistry) -> None:
    figures = Figures(registry, ("raspberry-pi-5",))
    for number in range(50):
        figures.hear(heard(device_kind=f"kind-{number}"))
    figures.hear(heard())
    assert registry.get_sample_value("voxloop_capture_segment_seconds_count", DEVICE) == 1


@given(value=st.floats(width=32), field=st.sampled_from(["raw_level_dbfs", "snr_db", "clipped_ratio", "voiced_ratio"]))
def test_whatever_a_device_reports_every_sum_stays_a_number(value: float, field: str) -> None:
    registry = CollectorRegistry()
    report = full_report()
    setattr(report, field, value)
    report.timings.add(stage="vad", busy_ms=value)
    Figures(registry).hear(heard(report=report))
    assert all(math.isfinite(figure) and abs(figure) < 1e9 for _, _, figure in samples(registry))


def test_a_device_that_reports_nothing_is_counted_as_missing(registry: CollectorRegistry, figures: Figures) -> None:
    segment = heard()
    assert segment.end is not None
    segment.end.ClearField("report")
    figures.hear(segment)
    name = "voxloop_capture_missing_values_total"
    assert registry.get_sample_value(name, {**DEVICE, "code": "snr_db"}) == 1
    assert registry.get_sample_value("voxloop_capture_snr_db_count", DEVICE) == 0


def test_heartbeats_raise_totals_by_what_is_new_and_show_what_is_now(
    registry: CollectorRegistry, figures: Figures
) -> None:
    hello = heard().hello
    figures.heartbeat(1, hello, pb.Heartbeat(lost_samples=16_000, dropped_segments=2, spool_bytes=500, cpu_ratio=0.02))
    figures.heartbeat(1, hello, pb.Heartbeat(lost_samples=48_000, dropped_segments=3, spool_bytes=700, cpu_ratio=0.02))
    assert registry.get_sample_value("voxloop_capture_lost_seconds_total", DEVICE) == 3
    assert registry.get_sample_value("voxloop_uplink_dropped_segments_total", DEVICE) == 3
    assert figures.fleet.spool_bytes == 700
    figures.heartbeat(1, hello, pb.Heartbeat(dropped_segments=1))  # the device's program began anew
    assert registry.get_sample_value("voxloop_uplink_dropped_segments_total", DEVICE) == 4
    figures.fleet.leave(1)
    assert figures.fleet.spool_bytes == 0


def dropped(figures: Figures) -> float | None:
    return figures.registry.get_sample_value("voxloop_uplink_dropped_segments_total", DEVICE)


def hello(resume_token: str = "") -> pb.Hello:
    found = pb.Hello()
    found.CopyFrom(heard().hello)
    found.resume_token = resume_token
    return found


def test_a_device_that_moves_from_worker_to_worker_is_counted_once(tmp_path: Path) -> None:
    first, second = (Figures(CollectorRegistry(), shared=tmp_path) for _ in range(2))
    first.heartbeat(1, hello(), pb.Heartbeat(dropped_segments=3, lost_samples=16_000))
    second.heartbeat(2, hello("t"), pb.Heartbeat(dropped_segments=5, lost_samples=32_000))  # two while it was away
    first.heartbeat(3, hello("t"), pb.Heartbeat(dropped_segments=6, lost_samples=32_000))
    assert (dropped(first), dropped(second)) == (4, 2)
    lost_s = [each.registry.get_sample_value("voxloop_capture_lost_seconds_total", DEVICE) for each in (first, second)]
    assert lost_s == [1, 1]


def test_what_a_device_dropped_before_the_server_was_started_anew_is_not_dropped_again(figures: Figures) -> None:
    figures.heartbeat(1, hello("t"), pb.Heartbeat(dropped_segments=3))
    assert dropped(figures) == 0
    figures.heartbeat(1, hello("t"), pb.Heartbeat(dropped_segments=4))
    assert dropped(figures) == 1


def test_a_device_that_was_forgotten_while_it_spoke_is_not_counted_again(registry: CollectorRegistry) -> None:
    fleet = Fleet(OwnTotals(most=2))
    assert fleet.hear(1, hello(), pb.Heartbeat(dropped_segments=3)).dropped_segments == 3
    for number in range(2, 5):
        other = pb.Hello(device_id=f"d{number}", session_id=f"s{number}")
        fleet.hear(number, other, pb.Heartbeat(dropped_segments=1))
    assert fleet.hear(1, hello(), pb.Heartbeat(dropped_segments=4)).dropped_segments == 0


def test_totals_that_cannot_be_shared_are_told_once_and_fail_nobody(tmp_path: Path) -> None:
    (tmp_path / "totals.sqlite").write_bytes(b"no database at all, but more than a hundred bytes of something " * 3)
    with capture_logs() as logs:
        figures = Figures(CollectorRegistry(), shared=tmp_path)
        for total in (3, 5):
            figures.heartbeat(1, hello(), pb.Heartbeat(dropped_segments=total))
    assert [log["event"] for log in logs] == ["totals.not_shared"]
    assert dropped(figures) == 0


def test_shared_totals_are_bounded_and_forget_who_was_silent_for_longest(tmp_path: Path) -> None:
    totals = SharedTotals(tmp_path / "totals.sqlite", most=3)
    for name in ("a", "b", "a", "c", "d"):
        totals.exchange(name, (1, 1))
    assert [totals.exchange(name, (2, 2)) for name in ("a", "d", "b")] == [(1, 1), (1, 1), None]


def test_what_users_did_is_counted_with_the_bundle_that_gave_the_text(
    registry: CollectorRegistry, figures: Figures
) -> None:
    figures.outcome("small@1", "canary", "corrected")
    labels = {"bundle": "small@1", "route": "canary", "code": "corrected"}
    assert registry.get_sample_value("voxloop_outcome_feedback_total", labels) == 1


def test_a_refused_session_is_counted_by_its_reason(registry: CollectorRegistry, figures: Figures) -> None:
    figures.refused(OverloadError("too many"))
    assert registry.get_sample_value("voxloop_server_refused_sessions_total", {"code": "overload"}) == 1


def test_totals_only_rise(registry: CollectorRegistry, figures: Figures) -> None:
    for total in (3.0, 5.0, 4.0, 6.0):
        figures.total("voxloop_server_dropped_records_total", total)
        figures.total("voxloop_router_shadows_total", total, "next@2", "dropped")
    assert registry.get_sample_value("voxloop_server_dropped_records_total", {}) == 6
    labels = {"bundle": "next@2", "code": "dropped"}
    assert registry.get_sample_value("voxloop_router_shadows_total", labels) == 6
