"""What a replay reports, from made-up utterances whose figures can be counted by hand."""

import json
from pathlib import Path

import pytest

from voxloop_edge.display import print_report
from voxloop_edge.plots import draw_plots
from voxloop_edge.report import (
    ReplayReport,
    SegmentReport,
    StageTime,
    UtteranceReport,
    percentiles,
    slice_by_tags,
    summarize,
)


def segment(text: str, latency_ms: float = 50.0) -> SegmentReport:
    return SegmentReport(
        segment_id=1,
        start_s=0.5,
        end_s=2.0,
        last_voiced_s=1.7,
        reason="silence",
        text=text,
        confidence=0.9,
        words=[],
        latency_ms=latency_ms,
        user_latency_ms=latency_ms + 300,
        server_latency_ms=20.0,
        raw_level_dbfs=-30.0,
        applied_gain_db=7.0,
        snr_db=25.0,
        stages={"vad": StageTime(busy_ms=1.0), "recognizer": StageTime(busy_ms=latency_ms / 2, wait_ms=3.0)},
        provenance="test",
    )


def utterance(
    name: str, text: str, reference: str | None, error: str | None = None, **tags: str | float
) -> UtteranceReport:
    return UtteranceReport(
        id=name,
        audio=f"{name}.wav",
        text=text,
        reference=reference,
        wer=None,
        audio_s=4.0,
        speech_s=1.5,
        sent_bytes=50_000,
        audio_bytes=48_000,
        edge_cpu_s=0.02,
        connections=1,
        segments=[segment(text)],
        tags=tags,
        error=error,
    )


UTTERANCES = [
    utterance("a", "play some jazz", "play some jazz", kind="music", score=9.0),
    utterance("b", "set timer", "set a timer", kind="timer", score=9.5),
    utterance("c", "", "lights off", kind="light", score=2.0),
    utterance("d", "anything", None, kind="music", score=2.0),
    utterance("e", "cut", "cut short", "damaged", kind="music", score=2.0),
]


def report() -> ReplayReport:
    return ReplayReport(
        voxloop_version="0",
        started="now",
        machine="here",
        server="there",
        bundle="tiny",
        realtime=False,
        concurrency=1,
        complete=True,
        totals=summarize(UTTERANCES, 2.0, 0.4, False),
        slices=slice_by_tags(UTTERANCES),
        utterances=UTTERANCES,
    )


def test_totals_count_what_has_a_reference_and_was_heard_whole() -> None:
    totals = report().totals
    assert totals.utterances == 5
    assert totals.failed == 1
    assert totals.words == 8
    assert totals.wer == pytest.approx(3 / 8)  # "a" left out of one, both words of another
    assert totals.clips_right_ratio == pytest.approx(1 / 3)
    assert totals.null_transcripts == 1
    assert totals.uplink_bits_per_s == pytest.approx(100_000)
    assert totals.plain_pcm16_bytes == 20 * 32_000
    assert totals.real_time_factor == pytest.approx(0.1)
    assert totals.server_cpu_s_per_audio_s == pytest.approx(0.02)
    assert totals.edge_cpu_s_per_audio_s == pytest.approx(0.005)
    assert totals.stages["recognizer"].median_ms == pytest.approx(25.0)
    assert totals.stages["recognizer"].median_wait_ms == pytest.approx(3.0)


def test_in_real_time_there_is_no_real_time_factor() -> None:
    assert summarize(UTTERANCES, 20.0, None, True).real_time_factor is None


def test_nothing_replayed_is_a_report_all_the_same() -> None:
    totals = summarize([], 1.0, None, False)
    assert totals.wer is totals.uplink_bits_per_s is totals.latency_ms.p50 is None
    assert totals.stages == {}


def test_slices_are_by_every_value_and_numbers_by_whole_steps() -> None:
    slices = {(found.tag, found.value): found for found in slice_by_tags(UTTERANCES)}
    assert slices["kind", "timer"].wer == pytest.approx(1 / 3)
    assert slices["kind", "music"].wer == 0.0
    assert slices["score", "9 to 10"].utterances == 2
    assert slices["score", "2 to 3"].wer == 1.0


def test_a_tag_with_too_many_values_is_no_slice() -> None:
    many = [utterance(str(number), "a", "a", take=str(number)) for number in range(51)]
    assert slice_by_tags(many) == []


def test_percentiles_of_a_known_row() -> None:
    found = percentiles([float(number) for number in range(101)])
    assert (found.p50, found.p95, found.p99) == (50.0, 95.0, 99.0)


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    report().write(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["totals"]["utterances"] == 5
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


def test_brackets_in_tags_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    odd = [utterance("a", "a", "a", kind="[/x]"), utterance("b", "b", "b", kind="[bold]")]
    print_report(report().model_copy(update={"bundle": "[/tiny]", "slices": slice_by_tags(odd)}))
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("[/x]", "[bold]", "[/tiny]"))


def test_every_plot_is_drawn(tmp_path: Path) -> None:
    files = draw_plots(report(), tmp_path / "new" / "folder")
    assert [file.name for file in files] == ["latency.png", "stages.png", "segments.png", "slices.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
