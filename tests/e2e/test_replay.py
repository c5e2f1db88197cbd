"""`voxloop replay` as a user runs it: real processes, real files, through the whole path."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import soundfile
from tests.e2e.conftest import QUERIES, ServerProcess, voxloop

from voxloop_edge.client_config import ClientConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.local_server import open_local_server
from voxloop_edge.manifest import read_clips
from voxloop_edge.replay import ReplayOutcome, ReplayPlan, run_replay
from voxloop_proto.errors import ConfigError, ContractError, UnavailableError
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceServicer, add_SpeechServiceServicer_to_server


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


def test_only_hotwords_are_heard_and_each_clip_is_right(tmp_path: Path) -> None:
    lines = (QUERIES / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    phrases = tmp_path / "menu.txt"
    phrases.write_text("\n".join(["open the window", *(json.loads(line)["text"] for line in lines)]), encoding="utf-8")
    report = replay_report(tmp_path, QUERIES / "lights.flac", "--local", "--hotwords", phrases, "--only-hotwords")
    assert report["utterances"][0]["text"] == "turn off the lights in the kitchen"
    phrases.write_text("good morning\nopen the window", encoding="utf-8")
    report = replay_report(tmp_path, QUERIES / "lights.flac", "--local", "--hotwords", phrases, "--only-hotwords")
    assert report["utterances"][0]["text"] == ""


def test_hotwords_without_effect_are_said_before_anything_is_measured(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("siobhan\n", encoding="utf-8")
    done = replay(QUERIES / "jazz.flac", "--insecure", "--server", server.address, "--hotwords", tmp_path / "names.txt")
    assert done.returncode == 2
    assert "hotwords have no effect on voxloop-tiny 0.0.1" in done.stderr


def test_the_report_holds_what_was_promised(server: ServerProcess, tmp_path: Path) -> None:
    report = replay_report(
        tmp_path, QUERIES / "queries.jsonl", "--insecure", "--server", server.address, "--plots", tmp_path / "plots"
    )
    totals = report["totals"]
    assert totals["utterances"] == len(report["utterances"]) == 10
    assert 0 < totals["speech_s"] < totals["audio_s"]
    assert 0 < totals["sent_bytes"] < totals["plain_pcm16_bytes"]
    assert totals["uplink_bits_per_s"] == pytest.approx(totals["sent_bytes"] * 8 / totals["audio_s"])
    assert 0 < totals["latency_ms"]["p50"] <= totals["latency_ms"]["p95"] <= totals["latency_ms"]["p99"]
    assert totals["user_latency_ms"]["p50"] >= totals["latency_ms"]["p50"]
    assert {"wer", "cer", "real_time_factor", "null_transcripts"} <= totals.keys()
    device_stages = ["framer", "vad", "segmenter", "normalizer", "encoder", "uplink"]
    assert list(totals["stages"]) == [*device_stages, "router", "features", "recognizer", "decoder"]
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


def test_the_default_bundle_understands_most_of_the_demo(tmp_path: Path) -> None:
    report = replay_report(tmp_path, QUERIES / "queries.jsonl", "--local")
    assert report["totals"]["wer"] < 0.1
    silent = [
        (each["id"], place)
        for each in report["utterances"]
        for place, found in enumerate(each["segments"])
        if not found["text"]
    ]
    assert silent == [("station", 0)]  # noise alone, before the query


def test_opus_gives_a_transcript_for_a_tenth_of_the_bytes(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replay_report(tmp_path, QUERIES / "timer.flac", "--insecure", "--server", server.address)
    monkeypatch.setenv("VOXLOOP_ENCODER__CODEC", "opus")
    opus = replay_report(tmp_path, QUERIES / "timer.flac", "--insecure", "--server", server.address)
    assert opus["totals"]["segments"] == plain["totals"]["segments"] == 1
    assert opus["totals"]["audio_bytes"] < plain["totals"]["audio_bytes"] / 8


def test_silence_sends_no_sound_and_gives_no_transcript(server: ServerProcess, silence: Path, tmp_path: Path) -> None:
    totals = replay_report(tmp_path, silence, "--insecure", "--server", server.address)["totals"]
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
        ("slow.wav", lambda file: soundfile.write(file, np.zeros(4_000), 2_000), "slow.wav: sample rate 2000 Hz"),
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
    done = replay(QUERIES / "timer.flac", tmp_path / name, "--insecure", "--server", server.address, "--report", report)
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
    report = replay_report(tmp_path, tmp_path / "any.wav", "--insecure", "--server", server.address)
    assert report["totals"]["segments"] == 1
    assert report["totals"]["audio_s"] == pytest.approx(len(pcm) / 16_000, abs=0.05)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[client]\nconnect_timeout_ms = 300\n")
    done = replay(QUERIES / "timer.flac", "--insecure", "--server", "127.0.0.1:9", "--config", settings)
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
    assert done.returncode == 3
    assert str(tmp_path) in done.stderr


@pytest.mark.parametrize(
    ("code", "error"), [(2, ConfigError), (3, ContractError), (1, UnavailableError), (-9, UnavailableError)]
)
def test_a_local_server_that_does_not_start_says_who_must_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    end = "kill -9 $$" if code < 0 else f"exit {code}"
    _pretend_to_serve(f"echo no good bundle >&2; {end}", tmp_path, monkeypatch)

    async def start() -> None:
        async with open_local_server():
            pass

    with pytest.raises(error, match="no good bundle"):
        asyncio.run(start())


def test_a_local_server_that_dies_ends_the_run_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood = "head -c 200000 /dev/zero | tr '\\0' x >&2"  # one line, longer than any buffer
    _pretend_to_serve(f"echo listening on 127.0.0.1:1; {flood}; echo out of memory >&2", tmp_path, monkeypatch)

    async def wait_for_ever() -> None:
        async with open_local_server():
            await asyncio.Event().wait()

    with pytest.raises(UnavailableError, match="out of memory"):
        asyncio.run(wait_for_ever())


def _pretend_to_serve(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_settings_of_the_device_do_not_reach_the_local_server(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXLOOP_VAD__AGGRESSIVENESS", "3")
    report = replay_report(tmp_path, QUERIES / "timer.flac", "--local", "--bundle", tiny)
    assert report["complete"]


class RefusingServer(SpeechServiceServicer):
    """Refuses the first session, takes the others, and is away when asked for its CPU time at the end."""

    def __init__(self) -> None:
        self.sessions = 0
        self.infos = 0

    async def Recognize(  # noqa: N802 (the name is the contract's)
        self, request_iterator: AsyncIterator[pb.RecognizeRequest], context: Any
    ) -> AsyncIterator[pb.RecognizeResponse]:
        self.sessions += 1
        if self.sessions == 1:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such codec")
        yield pb.RecognizeResponse(welcome=pb.Welcome())
        async for _ in request_iterator:
            pass

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Any) -> pb.GetServerInfoResponse:  # noqa: N802
        self.infos += 1
        if self.infos > 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return pb.GetServerInfoResponse(server_version="0")


def test_a_refused_session_and_a_server_gone_at_the_end_lose_no_results(silence: Path) -> None:
    clips = read_clips([QUERIES / "timer.flac", silence])

    async def play() -> ReplayOutcome:
        server = grpc.aio.server()
        add_SpeechServiceServicer_to_server(RefusingServer(), server)  # type: ignore[abstract]  # has all it needs here
        client = ClientConfig(server=f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", insecure=True)
        await server.start()
        try:
            return await run_replay(ReplayPlan(DeviceConfig(client=client), clips), lambda _: None)
        finally:
            await server.stop(0)

    outcome = asyncio.run(play())
    assert outcome.error is None
    assert [utterance.error for utterance in outcome.report.utterances] == ["no such codec", None]
    assert outcome.report.totals.server_cpu_s_per_audio_s is None


def test_ctrl_c_keeps_the_report_of_what_was_done(server: ServerProcess, silence: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = voxloop(
        "replay", QUERIES / "timer.flac", silence, "--insecure", "--server", server.address, "--report", report
    )
    command += ["--realtime", "--concurrency", "1", "-v"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("timer")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    found = json.loads(report.read_text())
    assert not found["complete"]
    assert [utterance["id"] for utterance in found["utterances"]] == ["timer"]


def test_a_closed_pipe_loses_no_report(server: ServerProcess, silence: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = voxloop(
        "replay", QUERIES / "timer.flac", silence, "--insecure", "--server", server.address, "--report", report, "-v"
    )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    finally:
        os.close(writing)
    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text())["complete"]


def test_where_results_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for flags, said in ((("--report", tmp_path), "is a folder"), (("--plots", file), "cannot make the folder")):
        done = replay(QUERIES / "timer.flac", "--insecure", "--server", "127.0.0.1:9", *flags)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_wav_that_promises_more_than_it_holds_is_named(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "cut.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(64_000))
    file.write_bytes(file.read_bytes()[:20_000])
    done = replay(file, "--insecure", "--server", server.address)
    assert done.returncode == 6
    assert "damaged or cut short" in done.stderr
