"""`voxloop replay` as a user runs it: real processes, real files, through the whole path."""

import json
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.e2e.conftest import QUERIES, ServerProcess, voxloop


def replay(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(voxloop("replay", *arguments), capture_output=True, text=True, timeout=120, check=False)


def replay_report(tmp_path: Path, *arguments: object) -> dict[str, Any]:
    done = replay(*arguments, "--report", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    return found


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    file = tmp_path / "silence.wav"
    soundfile.write(file, np.zeros(160_000, np.float32), 16_000)
    return file


def test_the_report_holds_what_was_promised(server: ServerProcess, tmp_path: Path) -> None:
    report = replay_report(
        tmp_path, QUERIES / "queries.jsonl", "--server", server.address, "--plots", tmp_path / "plots"
    )
    totals = report["totals"]
    assert totals["utterances"] == len(report["utterances"]) == 10
    assert 0 < totals["speech_s"] < totals["audio_s"]
    assert 0 < totals["sent_bytes"] < totals["plain_pcm16_bytes"]
    assert totals["uplink_bits_per_s"] == pytest.approx(totals["sent_bytes"] * 8 / totals["audio_s"])
    assert 0 < totals["latency_ms"]["p50"] <= totals["latency_ms"]["p95"] <= totals["latency_ms"]["p99"]
    assert totals["user_latency_ms"]["p50"] >= totals["latency_ms"]["p50"]
    assert {"wer", "cer", "real_time_factor", "null_transcripts"} <= totals.keys()
    stages = ["framer", "vad", "segmenter", "normalizer", "encoder", "uplink", "features", "recognizer", "decoder"]
    assert list(totals["stages"]) == stages
    assert all(stage["median_ms"] <= stage["p95_ms"] for stage in totals["stages"].values())
    utterance = report["utterances"][0]
    assert utterance["reference"]
    assert utterance["wer"] is not None
    assert "voxloop-tiny" in utterance["segments"][0]["provenance"]
    assert {found["tag"] for found in report["slices"]} >= {"speaker"}
    assert {file.name for file in (tmp_path / "plots").iterdir()} >= {"latency.png", "stages.png", "segments.png"}


def test_local_starts_and_stops_a_server_of_its_own(tiny: Path, tmp_path: Path) -> None:
    report = replay_report(tmp_path, QUERIES / "timer.flac", "--local", "--bundle", tiny)
    assert report["totals"]["segments"] == 1
    assert report["bundle"] == "voxloop-tiny 0.0.1"


def test_opus_gives_a_transcript_for_a_tenth_of_the_bytes(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replay_report(tmp_path, QUERIES / "timer.flac", "--server", server.address)
    monkeypatch.setenv("VOXLOOP_ENCODER__CODEC", "opus")
    opus = replay_report(tmp_path, QUERIES / "timer.flac", "--server", server.address)
    assert opus["totals"]["segments"] == plain["totals"]["segments"] == 1
    assert opus["totals"]["audio_bytes"] < plain["totals"]["audio_bytes"] / 8


def test_silence_sends_no_sound_and_gives_no_transcript(server: ServerProcess, silence: Path, tmp_path: Path) -> None:
    totals = replay_report(tmp_path, silence, "--server", server.address)["totals"]
    assert totals["audio_bytes"] == totals["segments"] == totals["speech_s"] == 0
    assert totals["audio_s"] == pytest.approx(10.0)


def _write_nan(file: Path) -> None:
    pcm = np.zeros(16_000, np.float32)
    pcm[8_000] = np.nan
    soundfile.write(file, pcm, 16_000, subtype="FLOAT")


def _write_truncated(file: Path) -> None:
    data = (QUERIES / "weather.flac").read_bytes()
    file.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("empty.wav", lambda file: file.write_bytes(b""), "is empty (0 bytes)"),
        ("text.wav", lambda file: file.write_text("this is no sound at all"), "is no audio that can be read"),
        ("nan.wav", _write_nan, "nan.wav"),
        ("cut.flac", _write_truncated, "damaged or cut short"),
    ],
)
def test_a_bad_file_is_named_and_the_others_go_on(
    server: ServerProcess, tmp_path: Path, name: str, make: Any, said: str
) -> None:
    make(tmp_path / name)
    report = tmp_path / "report.json"
    done = replay(QUERIES / "timer.flac", tmp_path / name, "--server", server.address, "--report", report)
    assert done.returncode == 6
    assert "1 of 2 clips could not be replayed whole" in done.stderr
    assert said in done.stderr
    utterances = json.loads(report.read_text())["utterances"]
    assert [utterance["error"] is None for utterance in utterances] == [True, False]
    assert utterances[0]["text"]


@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype"), [(8_000, 1, "PCM_16"), (44_100, 7, "PCM_24"), (48_000, 2, "FLOAT")]
)
def test_any_rate_and_channel_count_is_heard(
    server: ServerProcess, tmp_path: Path, rate_hz: int, channels: int, subtype: str
) -> None:
    import soxr

    pcm, _ = soundfile.read(QUERIES / "timer.flac", dtype="float32")
    resampled = soxr.resample(pcm, 16_000, rate_hz)
    soundfile.write(tmp_path / "any.wav", np.repeat(resampled[:, None], channels, axis=1), rate_hz, subtype=subtype)
    report = replay_report(tmp_path, tmp_path / "any.wav", "--server", server.address)
    assert report["totals"]["segments"] == 1
    assert report["totals"]["audio_s"] == pytest.approx(len(pcm) / 16_000, abs=0.05)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[client]\nconnect_timeout_ms = 300\n")
    done = replay(QUERIES / "timer.flac", "--server", "127.0.0.1:9", "--config", settings)
    assert done.returncode == 5
    assert "no voxloop server answers at 127.0.0.1:9" in done.stderr
    assert "voxloop serve" in done.stderr


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[vad]\nagressiveness = 3\n", "unknown setting vad.agressiveness = 3; allowed here: aggressiveness"),
        ("[vad]\naggressiveness = 9\n", "setting vad.aggressiveness = 9"),
        ("[vad\n", "is not TOML"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, toml: str, said: str) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(toml)
    done = replay(QUERIES / "timer.flac", "--config", settings)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_missing_source_is_named() -> None:
    done = replay("nowhere.wav", "--local")
    assert done.returncode == 2
    assert "no file or folder nowhere.wav" in done.stderr


def test_a_bundle_that_is_wrong_is_named(tmp_path: Path) -> None:
    done = replay(QUERIES / "timer.flac", "--local", "--bundle", tmp_path)
    assert done.returncode == 5
    assert str(tmp_path) in done.stderr


def test_a_wav_that_promises_more_than_it_holds_is_named(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "cut.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(64_000))
    file.write_bytes(file.read_bytes()[:20_000])
    done = replay(file, "--server", server.address)
    assert done.returncode == 6
    assert "damaged or cut short" in done.stderr
