"""`voxloop evaluate` as a user runs it: real processes, real recordings, a tiny bundle."""

import json
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import QUERIES, voxloop
from typer.testing import CliRunner

from voxloop_cloud.testing import tiny_bundle
from voxloop_proto.cli import app
from voxloop_training.evaluation.figures import EvaluationReport
from voxloop_training.evaluation.page import render_page

MANIFEST = QUERIES / "queries.jsonl"
PROMISED = {
    "wer", "wer_low", "wer_high", "cer", "clips_right_ratio", "cpu_s_per_audio_s", "latency_ms", "user_latency_ms",
    "deletions", "insertions", "substitutions", "slices", "real_time_factor", "interval_unit", "calibration",
    "word_confusions", "phone_confusions", "utterances",
}  # fmt: skip


def evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(voxloop("evaluate", *arguments), capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("tiny")).path


@pytest.fixture(scope="session")
def evaluation(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The JSON and the page of a small evaluation of two bundles, both through a server and without."""
    folder = tmp_path_factory.mktemp("evaluation")
    other = tiny_bundle(folder / "other", seed=1, window_frames=19, shift_frames=16).path
    done = evaluate(
        tiny, MANIFEST, "--compare", other, "--mode", "both", "--clips", 3, "--latency-clips", 1,
        "--json", folder / "figures.json", "--html", folder / "page.html",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "queries/queries" in done.stdout
    return json.loads((folder / "figures.json").read_text()), (folder / "page.html").read_text()


def test_the_figures_hold_what_was_promised(evaluation: tuple[dict[str, Any], str]) -> None:
    report, _ = evaluation
    figures = report["sets"]["queries/queries"]
    assert report["complete"]
    assert figures.keys() >= PROMISED
    assert (figures["clips"], figures["clips_left_out"]) == (3, 7)
    assert figures["wer_low"] <= figures["wer"] <= figures["wer_high"]
    assert figures["cpu_s_per_audio_s"] > 0
    assert figures["latency_clips"] == 1
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p95"]
    assert figures["user_latency_ms"]["p50"] > figures["latency_ms"]["p50"]
    for values in figures["slices"].values():
        assert sum(each["words"] for each in values.values()) == figures["words"]
        assert sum(each["errors"] for each in values.values()) == figures["errors"]
    assert figures["phone_confusions"] is None, "the tiny bundle writes characters"


def test_every_bundle_is_heard_both_ways_and_compared_with_the_first(evaluation: tuple[dict[str, Any], str]) -> None:
    report, _ = evaluation
    systems = [report["system"], *(other["system"] for other in report["compared"])]
    assert [each["mode"] for each in systems] == ["streaming", "offline", "streaming", "offline"]
    assert len({each["label"] for each in systems}) == 4
    assert [each["look_ahead_ms"] for each in systems] == [355.0, 355.0, 195.0, 195.0]
    for other in report["compared"]:
        difference = other["differences"]["queries/queries"]
        wers = [other["sets"]["queries/queries"]["wer"], report["sets"]["queries/queries"]["wer"]]
        assert difference["wer"] == pytest.approx(wers[0] - wers[1], abs=1e-4)
        assert difference["wer_low"] <= difference["wer"] <= difference["wer_high"]
        assert (other["sets"]["queries/queries"]["latency_ms"]["p50"] is None) == (other["system"]["mode"] == "offline")


LOADING = {"src", "href", "xlink:href", "srcset", "poster", "data"}


class Links(HTMLParser):
    """All that a page would load, and the elements it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [
            value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "srcset", "poster"}
        ]


def test_the_page_asks_for_nothing_outside_itself(evaluation: tuple[dict[str, Any], str]) -> None:
    _, page = evaluation
    links = Links(page)
    assert links.found
    assert [link for link in links.found if not link.startswith(("data:audio/ogg;base64,", "#"))] == []
    assert re.findall(r"url\((?!#)|@import", page) == []
    assert not {"script", "link", "iframe", "img"} & set(links.tags)


def test_the_page_shows_curves_and_sound(evaluation: tuple[dict[str, Any], str]) -> None:
    report, page = evaluation
    links = Links(page)
    assert links.tags.count("svg") == 2, "WER over look-ahead, and the confidence"
    assert 1 <= links.tags.count("audio") <= 3
    assert all(other["system"]["label"] in page for other in report["compared"])


def test_bars_show_their_intervals(evaluation: tuple[dict[str, Any], str]) -> None:
    report, _ = evaluation
    figures = report["sets"]["queries/queries"] | {"wer": 0.5, "wer_low": 0.25, "wer_high": 1.0, "slices": {}}
    page = render_page(EvaluationReport.model_validate(report | {"sets": {"tiny": figures}, "compared": []}), [])
    assert 'class="fill" style="width: 50.0%"' in page
    assert 'class="interval" style="left: 25.0%; width: 75.0%"' in page
    assert "50.0 (25.0 to 100.0) %" in page


def test_what_clips_and_bundles_are_called_cannot_break_the_page(evaluation: tuple[dict[str, Any], str]) -> None:
    report, _ = evaluation
    evil = json.loads(json.dumps(report).replace("queries/queries", "<script>alert(1)</script>"))
    page = render_page(EvaluationReport.model_validate(evil), [])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_sets_without_transcripts_have_a_page_too(tiny: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "orders.jsonl"
    manifest.write_text(json.dumps({"audio": str(QUERIES / "timer.flac"), "text": "", "split": "test"}) + "\n")
    done = evaluate(
        tiny, manifest, "--mode", "offline", "--json", tmp_path / "figures.json", "--html", tmp_path / "page.html"
    )
    assert done.returncode == 0, done.stderr
    [figures] = json.loads((tmp_path / "figures.json").read_text())["sets"].values()
    assert figures["wer"] is None
    assert figures["clips"] == 1
    assert figures["cpu_s_per_audio_s"] > 0
    page = (tmp_path / "page.html").read_text()
    assert "there is no error rate" in page
    assert "<audio" not in page


def test_a_clip_that_cannot_be_read_is_named_and_the_others_are_scored(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.flac").write_bytes(b"no sound at all")
    rows = [
        {"id": "whole", "audio": str(QUERIES / "timer.flac"), "text": "set a timer"},
        {"id": "broken", "audio": "broken.flac", "text": "gone"},
    ]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = evaluate(tiny, tmp_path / "set.jsonl", "--mode", "offline", "--json", tmp_path / "figures.json")
    assert done.returncode == 6
    assert "1 clips could not be heard to their end" in done.stderr
    assert "broken" in done.stderr
    [figures] = json.loads((tmp_path / "figures.json").read_text())["sets"].values()
    assert (figures["clips"], figures["scored_clips"], figures["failed"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["default", "nowhere.jsonl"], 2, "set nowhere.jsonl is not there"),
        (["no-such-bundle", MANIFEST], 2, "no bundle 'no-such-bundle'"),
        (["run/step-1.pt", MANIFEST], 2, "no checkpoint run/step-1.pt"),
        (["default", MANIFEST, "--where", "loudness>=3"], 2, "no set has a field 'loudness'"),
        (["default", MANIFEST, "--hotwords", "books=words.txt"], 2, "words.txt"),
        (["default", MANIFEST, "--only-hotwords"], 2, "--only-hotwords needs hotwords"),
        (["default", MANIFEST, "--json", "/nowhere/figures.json"], 2, "no folder /nowhere"),
        (["default", "EMPTY"], 6, "has no rows"),
    ],
)
def test_bad_input_is_named_before_anything_runs(arguments: list[object], code: int, said: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    words = [str(empty if argument == "EMPTY" else argument) for argument in arguments]
    done = CliRunner().invoke(app, ["evaluate", *words])
    assert done.exit_code == code, done.output
    assert said in done.stderr


def test_hotwords_that_have_no_effect_are_an_error(tiny: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("timer\n")
    for mode in ("streaming", "offline"):
        done = evaluate(tiny, MANIFEST, "--clips", 1, "--mode", mode, "--hotwords", words)
        assert done.returncode == 2, done.stderr
        assert "hotwords have no effect on voxloop-tiny 0.0.1" in done.stderr


def test_ctrl_c_keeps_the_sets_that_were_done_and_leaves_no_server_behind(tiny: Path, tmp_path: Path) -> None:
    second = tmp_path / "long" / "set.jsonl"
    second.parent.mkdir()
    second.write_text(json.dumps({"audio": str(QUERIES / "timer.flac"), "text": "set a timer"}) + "\n")
    command = voxloop(
        "evaluate", tiny, MANIFEST, second, "--clips", 2, "--latency-clips", 1, "--json", tmp_path / "figures.json"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "long/set (" not in process.stderr.readline():  # the second set has been heard: latency comes next
            assert process.poll() is None
        servers = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert len(servers) == 1
    assert [server for server in servers if server.is_running()] == []
    report = json.loads((tmp_path / "figures.json").read_text())
    assert not report["complete"]
    assert list(report["sets"]) == ["queries/queries"]


def test_a_bundle_is_evaluated_without_torch(tiny: Path, tmp_path: Path) -> None:
    blocked = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'torch', 'torchaudio', 'lhotse', 'onnx'}:\n"
        "            raise ImportError(f'{name} was imported')\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "from voxloop_proto.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", blocked, "evaluate", tiny, MANIFEST, "--clips", "1", "--mode", "offline"]
    done = subprocess.run(
        [*map(str, command), "--html", str(tmp_path / "page.html")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
