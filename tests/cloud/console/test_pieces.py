"""The pure parts of the console."""

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.alarms.series import History, extended
from voxloop_cloud.console.app import STATIC
from voxloop_cloud.console.byte_range import ranged
from voxloop_cloud.console.sound_picture import COLUMNS, spectrogram_png, waveform_path
from voxloop_cloud.console.sparkline import spark_path
from voxloop_cloud.console.strip import FIGURES
from voxloop_cloud.console.utterance_page import stage_times
from voxloop_cloud.console.word_diff import word_diff
from voxloop_cloud.metrics.catalogue import SERVER_METRICS
from voxloop_cloud.metrics.figures import Figures
from voxloop_proto.metrics.spec import STAGES

words = st.lists(st.sampled_from(("turn", "the", "light", "lights", "on")), max_size=8).map(" ".join)


@given(words, words)
def test_a_diff_holds_both_texts(first: str, second: str) -> None:
    pieces = word_diff(first, second)
    assert " ".join(each.words for each in pieces if each.kind != "added") == first
    assert " ".join(each.words for each in pieces if each.kind != "missing") == second


def decoded(png: bytes) -> tuple[int, int, bytes]:
    width, height = struct.unpack(">II", png[16:24])
    begin = png.index(b"IDAT")
    size = struct.unpack(">I", png[begin - 4 : begin])[0]
    return width, height, zlib.decompress(png[begin + 4 : begin + 4 + size])


def test_a_tone_stands_at_its_height_in_the_spectrogram() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 2_000.0 * np.arange(16_000) / 16_000.0).astype(np.float32)
    width, height, rows = decoded(spectrogram_png(tone))
    picture = np.frombuffer(rows, np.uint8).reshape(height, width + 1)[:, 1:]
    assert height == 257
    assert abs(int(picture[:, width // 2].argmax()) - (256 - 64)) <= 1  # 2 of 8 kHz, from the bottom


@pytest.mark.parametrize("samples", [1, 100, 511, 513, 16_000 * 60])
def test_any_length_makes_pictures(samples: int) -> None:
    pcm = np.zeros(samples, np.float32)
    assert decoded(spectrogram_png(pcm))[0] <= 2_000
    assert waveform_path(pcm).count(" L") <= 2 * COLUMNS


def test_a_loud_end_is_seen_at_the_end() -> None:
    pcm = np.concatenate([np.zeros(8_000), np.full(8_000, 0.5)]).astype(np.float32)
    upper = [float(each.split(",")[1]) for each in waveform_path(pcm)[1:-2].split(" L")][:COLUMNS]
    assert min(upper[:290]) > 45.0
    assert max(upper[310:]) == 0.0


def test_a_curve_breaks_where_nothing_was_read() -> None:
    assert spark_path([(0, 1.0), (1, None), (2, 3.0), (3, 1.0)], 0, 3).count("M") == 2
    assert spark_path([(0, 1.0)], 0, 3) == ""


def test_stages_stand_in_the_order_of_the_sound() -> None:
    found = stage_times({"decoder": (1.0, 0.0), "odd": (1.0, 0.0), "vad": (2.0, 2.0)})
    assert [each.stage for each in found] == ["vad", "decoder", "odd"]
    assert found[0].busy + found[0].wait == pytest.approx(100.0)


def test_parts_of_a_file_are_as_asked() -> None:
    assert ranged(b"0123456789", "a/b", "bytes=2-4").body == b"234"
    assert ranged(b"0123456789", "a/b", "bytes=8-").body == b"89"
    assert ranged(b"0123456789", "a/b", "bytes=20-").status_code == 416
    assert ranged(b"0123456789", "a/b", "bytes=-2,3-4").body == b"0123456789"


def test_every_stage_has_figures_and_every_figure_is_read_from_metrics_that_exist() -> None:
    asked: set[str] = set()

    class Noted(dict[str, object]):
        def get(self, name: str, default: object = None) -> object:
            asked.add(name)
            return default

    assert {figure.stage for figure in FIGURES} == set(STAGES)
    for figure in FIGURES:
        assert figure.read(Noted(), 100.0) is None  # type: ignore[arg-type]
    names = {spec.name for spec in SERVER_METRICS}
    bare = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in asked}
    assert asked
    assert bare <= names


def test_the_strip_tells_what_the_counters_did() -> None:
    history: History = {}
    from prometheus_client import CollectorRegistry

    from voxloop_cloud.alarms.registry import samples_of

    registry = CollectorRegistry()
    series = Figures(registry, (), None).instruments.series(bundle="b@1", route="primary")
    for second in range(0, 100, 5):
        series.observe("voxloop_router_latency_seconds", 0.045)
        series.count("voxloop_router_segments_total", 10.0)
        samples = list(samples_of(registry.collect()))
        reach_s = dict.fromkeys((sample.name for sample in samples), 120.0)
        history = extended(history, samples, float(second), reach_s)
    found = {(each.stage, each.name): each.read(history, 95.0) for each in FIGURES}
    latency_ms, rate_per_s = found["router", "latency, median"], found["router", "segments"]
    assert latency_ms is not None
    assert 30.0 <= latency_ms <= 50.0  # its bucket
    assert rate_per_s == pytest.approx(2.0, rel=0.3)


def test_what_is_vendored_is_what_was_taken_from_the_registry() -> None:
    vendor = STATIC / "vendor"
    lines = [line.split("  ") for line in (vendor / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    files = {each.name for each in vendor.iterdir()} - {"SHA256SUMS", "README.md"}
    assert files == set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest
    for name in ("htmx", "htmx-sse", "uplot"):
        assert Path(vendor / f"{name}.LICENSE").stat().st_size > 0
