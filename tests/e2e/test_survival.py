"""Power cuts, kills and full disks, with real processes: every segment is written once, and none is missing."""

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.e2e.conftest import ServerProcess, voxloop
from tests.e2e.sessions import MOST_S, Heard, client_config

from voxloop_cloud.testing import babble
from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.pipeline import build_pipeline
from voxloop_proto.audio import SAMPLE_RATE_HZ, to_pcm16
from voxloop_proto.events import Chunk
from voxloop_proto.stage import run as run_stage

SEGMENTS = 4


def speech() -> bytes:
    """Four segments with silence between them, as raw PCM16."""
    gap = np.zeros(16_000, np.float32)
    return to_pcm16(np.concatenate([gap, *(part for seed in range(SEGMENTS) for part in (babble(1200, seed), gap))]))


@dataclass
class Device:
    """A device that is a process, with a disk of its own."""

    folder: Path
    server: str

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def journal(self) -> Path:
        return self.folder / "transcripts.jsonl"

    def command(self, name: str, *arguments: object, journal: bool = True) -> list[str]:
        stores = ["--spool", self.spool, *(["--transcripts", self.journal] if journal else [])]
        return voxloop(name, "--insecure", "--server", self.server, *stores, *arguments)

    def listen(self, sound: bytes, **settings: object) -> "subprocess.CompletedProcess[bytes]":
        return run(self.command("listen", "--stdin", "s16le"), sound, environment(**settings))

    def upload(self, **settings: object) -> "subprocess.CompletedProcess[bytes]":
        return run(self.command("upload"), b"", environment(**settings))

    def lines(self) -> list[dict[str, Any]]:
        if not self.journal.exists():
            return []
        return [json.loads(line) for line in self.journal.read_text(encoding="utf-8").splitlines()]

    def spooled(self) -> list[Path]:
        """Segments on disk. A session's folder may go while one looks, which os.walk bears and Path.glob does not."""
        found = (Path(folder) / name for folder, _, names in os.walk(self.spool) for name in names)
        return sorted(path for path in found if path.suffix == ".segment")


def run(command: list[str], sound: bytes, settings: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, input=sound, capture_output=True, timeout=60, check=False, env=settings)


def environment(**settings: object) -> dict[str, str]:
    quick = {"client__first_backoff_ms": 50, "client__longest_backoff_ms": 200, "client__finish_timeout_ms": 300}
    return os.environ | {f"VOXLOOP_{name.upper()}": str(value) for name, value in (quick | settings).items()}


@pytest.fixture
def device(server: ServerProcess, tmp_path: Path) -> Device:
    return Device(tmp_path, server.address)


def said_samples(lines: list[dict[str, Any]]) -> int:
    return sum(line["end_sample"] - line["start_sample"] for line in lines)


@pytest.fixture
def expected(server: ServerProcess, tmp_path: Path) -> list[tuple[str, int, int]]:
    """What an undisturbed device writes: text, start and end of each segment."""
    (tmp_path / "calm").mkdir()
    calm = Device(tmp_path / "calm", server.address)
    assert calm.listen(speech()).returncode == 0
    assert len(calm.lines()) == SEGMENTS
    return what_was_said(calm.lines())


def what_was_said(lines: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(line["text"], line["start_sample"], line["end_sample"]) for line in lines]


def test_what_was_said_while_the_server_was_away_comes_with_the_next_run(
    server: ServerProcess, device: Device, expected: list[tuple[str, int, int]]
) -> None:
    server.kill()
    done = device.listen(speech())
    assert done.returncode == 0
    assert b"4 segments stay in the spool" in done.stderr
    assert len(device.spooled()) == SEGMENTS
    server.start()
    assert device.upload().returncode == 0
    assert what_was_said(device.lines()) == expected
    assert list(device.spool.iterdir()) == [device.spool / "lock"]


def test_a_live_run_sends_what_an_earlier_one_left(
    server: ServerProcess, device: Device, expected: list[tuple[str, int, int]]
) -> None:
    server.kill()
    device.listen(speech())
    server.start()
    with subprocess.Popen(
        device.command("listen", "--stdin", "s16le"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin is not None
        process.stdin.write(speech())
        process.stdin.flush()
        wait_for(lambda: len(device.lines()) == 2 * SEGMENTS)
        process.stdin.close()
        assert process.wait(60) == 0
    by_session: dict[str, list[dict[str, Any]]] = {}
    for line in device.lines():
        by_session.setdefault(line["session"], []).append(line)
    assert [what_was_said(lines) for lines in by_session.values()] == [expected, expected]


@pytest.mark.parametrize("seed", range(6))
def test_kills_of_either_side_lose_no_segment_and_give_none_twice(
    server: ServerProcess, device: Device, expected: list[tuple[str, int, int]], seed: int
) -> None:
    """Each life says all there is to say; what had its end taken before the kill is in the spool, or in the journal."""
    chance = random.Random(seed)
    taken: set[tuple[str, str]] = set()  # session, segment: seen on disk
    for _ in range(3):
        process = subprocess.Popen(
            device.command("listen", "--stdin", "s16le"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        assert process.stdin is not None
        sound = speech()
        process.stdin.write(sound[: int(len(sound) * chance.random())])
        process.stdin.flush()
        if chance.random() < 0.5:
            server.kill()
            time.sleep(chance.random() * 0.3)
            server.start()
        wait_s = chance.random() * 1.5
        deadline_s = time.monotonic() + wait_s
        while time.monotonic() < deadline_s:
            taken |= {(path.parent.name[9:], path.name[:8]) for path in device.spooled()}
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        taken |= {(path.parent.name[9:], path.name[:8]) for path in device.spooled()}
    assert device.upload().returncode == 0
    written = [(line["session"], f"{line['segment']:08d}") for line in device.lines()]
    assert len(written) == len(set(written)), "a segment was given twice"
    assert taken <= set(written), "a segment that was on disk is lost"
    assert device.spooled() == []
    for line in device.lines():
        found = (line["text"], line["start_sample"], line["end_sample"])
        assert found == expected[line["segment"] - 1]


@pytest.mark.parametrize(("when_full", "kept"), [("oldest", [3, 4]), ("newest", [1, 2])])
def test_a_full_spool_drops_as_it_is_set_and_each_loss_is_told_and_written(
    server: ServerProcess, device: Device, expected: list[tuple[str, int, int]], when_full: str, kept: list[int]
) -> None:
    server.kill()
    bounds = {"spool__max_bytes": 125_000, "spool__when_full": when_full, "client__outage_timeout_ms": 400}
    done = device.listen(speech(), **bounds)
    assert done.stderr.count(b"is lost") == 2, done.stderr
    server.start()
    assert device.upload(**bounds).returncode == 0
    heard = {line["segment"]: line for line in device.lines() if line["outcome"] == "transcript"}
    lost = {line["segment"]: line for line in device.lines() if line["outcome"] == "lost"}
    assert sorted(heard) == kept
    assert sorted(heard | lost) == [1, 2, 3, 4]
    assert said_samples(device.lines()) == sum(end - start for _, start, end in expected)


def test_a_disk_that_takes_no_more_is_told_and_recording_goes_on(
    server: ServerProcess, device: Device, expected: list[tuple[str, int, int]]
) -> None:
    """The system itself refuses to write files of more than 20 kB, as it does on a full disk."""
    command = [
        "bash",
        "-c",
        'trap "" XFSZ; ulimit -f 20; exec "$@"',
        "bash",
        *device.command("listen", "--stdin", "s16le"),
    ]
    done = subprocess.run(command, input=speech(), capture_output=True, timeout=60, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"the spool cannot be used (File too large)") == 1, done.stderr
    assert what_was_said(device.lines()) == expected
    assert device.spooled() == []
    assert list(device.spool.rglob("*.part")) == []


def test_a_spool_that_another_has_is_an_error_at_once(server: ServerProcess, device: Device) -> None:
    with subprocess.Popen(
        device.command("listen", "--stdin", "s16le"), stdin=subprocess.PIPE, env=environment()
    ) as first:
        wait_for(lambda: (device.spool / "lock").exists() and (device.spool / "lock").read_text() != "")
        second = device.listen(b"")
        assert second.returncode == 2
        assert f"in use by process {first.pid}".encode() in second.stderr
        assert first.stdin is not None
        first.stdin.close()
        assert first.wait(60) == 0


def wait_for(condition: Any) -> None:
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to this"
        time.sleep(0.02)


def test_a_device_that_falls_back_gives_its_own_text_and_uploads_later(
    server: ServerProcess, device: Device, expected: list[tuple[str, int, int]]
) -> None:
    """The server dies between two halves of what is said, and comes back when the second has its text."""
    settings = {
        "client__fallback_bundle": server.bundle,
        "client__fallback_after_ms": 300,
        "client__fallback_keep_ms": 1_000,
    }
    told = device.folder / "told"
    half = len(speech()) // 2
    with (
        told.open("wb") as errors,
        subprocess.Popen(
            device.command("listen", "--stdin", "s16le", "--fallback", "local"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(**settings),
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(speech()[:half])
        process.stdin.flush()
        wait_for(lambda: len(device.lines()) == SEGMENTS // 2)
        server.kill()
        process.stdin.write(speech()[half:])
        process.stdin.flush()
        wait_for(lambda: len(device.lines()) == SEGMENTS)
        assert [line["route"] for line in device.lines()] == ["primary"] * 2 + ["local"] * 2
        assert len(list(device.spool.glob("*/*.given"))) == SEGMENTS // 2
        server.start()
        wait_for(lambda: not list(device.spool.glob("*/*.given")))
        wait_for(lambda: "the cloud transcribes again" in told.read_text())
        assert psutil.Process(process.pid).children() == []
        process.stdin.close()
        shown = process.stdout.read().decode().splitlines()
        assert process.wait(60) == 0, told.read_text()
    given, later = device.lines()[:SEGMENTS], device.lines()[SEGMENTS:]
    assert what_was_said(given) == expected
    assert [line["outcome"] for line in given] == ["transcript"] * SEGMENTS
    assert [(line["segment"], line["outcome"], line["route"]) for line in later] == [
        (3, "superseding", "primary"),
        (4, "superseding", "primary"),
    ]
    assert what_was_said(later) == expected[2:]
    assert shown == [text for text, _, _ in expected if text]
    assert told.read_text().count("this device transcribes by itself") == 1, told.read_text()


def test_a_local_server_that_dies_is_started_again(server: ServerProcess, device: Device) -> None:
    server.kill()
    with subprocess.Popen(
        device.command("listen", "--stdin", "s16le", "--fallback", "local"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(client__fallback_bundle=server.bundle, client__fallback_after_ms=100),
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(speech())
        process.stdin.flush()
        wait_for(lambda: len(device.lines()) == SEGMENTS)
        (local,) = psutil.Process(process.pid).children()
        local.kill()
        process.stdin.write(speech())
        process.stdin.flush()
        wait_for(lambda: len(device.lines()) == 2 * SEGMENTS)
        process.stdin.close()
        told = process.stderr.read().decode()
        assert process.wait(60) == 0, told
    assert told.count("this device cannot transcribe by itself: the local server ended in the middle of the run") == 1
    assert {line["route"] for line in device.lines()} == {"local"}


def test_a_given_segment_of_a_killed_device_is_uploaded_and_not_shown_again(
    server: ServerProcess, device: Device, expected: list[tuple[str, int, int]]
) -> None:
    server.kill()
    with subprocess.Popen(
        device.command("listen", "--stdin", "s16le", "--fallback", "local"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(client__fallback_bundle=server.bundle, client__fallback_after_ms=100),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(speech())
        process.stdin.flush()
        wait_for(lambda: len(list(device.spool.glob("*/*.given"))) == SEGMENTS)
        process.kill()
    server.start()
    done = device.upload()
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert what_was_said(device.lines()[:SEGMENTS]) == expected
    assert [line["outcome"] for line in device.lines()] == ["transcript"] * SEGMENTS + ["superseding"] * SEGMENTS
    assert list(device.spool.iterdir()) == [device.spool / "lock"]


def test_a_device_keeps_to_the_longest_segment_that_its_server_takes(tiny: Path) -> None:
    server = ServerProcess(tiny, limits__max_segment_ms=2_000)
    server.start()
    heard, pcm = Heard(), babble(9_000, seed=1)

    async def say() -> None:
        config = client_config(server.address)
        async with (
            asyncio.timeout(MOST_S),
            open_channel(config) as channel,
            Client(channel, make_hello(DeviceConfig()), config, heard.replies.append) as client,
        ):
            await client.idle()
            for event in run_stage(build_pipeline(DeviceConfig(), most_ms=lambda: client.most_ms), [Chunk(0, pcm)]):
                await client.send(event)
            await client.finish()

    try:
        asyncio.run(say())
    finally:
        server.kill()
    assert heard.failures == []
    assert len(heard.transcripts) >= len(pcm) // (2 * SAMPLE_RATE_HZ)
    assert max(heard.samples.values()) <= 2 * SAMPLE_RATE_HZ


def test_falling_back_without_a_spool_is_an_error_at_once(server: ServerProcess) -> None:
    command = voxloop("listen", "--insecure", "--server", server.address, "--stdin", "s16le", "--fallback", "local")
    done = run(command, b"", environment())
    assert done.returncode == 2
    assert b"add --spool DIR" in done.stderr
