"""The peers of the serving benchmark work end to end: what they measure is recognition, and all of it is answered."""

import asyncio
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sherpa_onnx")
pytest.importorskip("websockets")

from tests.bench.serving.sherpa_client import Run, play
from tests.bench.serving.sherpa_engine import cut_streams
from tests.bench.serving.sherpa_engine import play as play_engine
from tests.bench.serving.sherpa_recognizer import open_recognizer, read_clips
from tests.bench.serving.sherpa_utterance import TEXT, client_frame, cut_clip

from voxloop_cloud.bundle import Bundle, load_bundle
from voxloop_cloud.testing import babble, tiny_bundle
from voxloop_proto.errors import DataError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(tiny_bundle(tmp_path_factory.mktemp("tiny"), features="kaldi-fbank").path)


@pytest.fixture(scope="module")
def port(bundle: Bundle) -> Iterator[int]:
    """Of a server process."""
    command = [sys.executable, "-m", "tests.bench.serving.sherpa_server", "--bundle", str(bundle.path), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("listening on 127.0.0.1:")
        yield int(said.rpartition(":")[2])
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_every_clip_gets_its_text_after_its_last_sample(port: int) -> None:
    clips = [cut_clip(babble(700 + 100 * seed, seed), 100) for seed in range(3)]
    measured = asyncio.run(play(clips, [port], 4, 0.0, 2.5))
    assert measured.failed == 0
    assert measured.texts == len(measured.latency_ms) > 4
    assert min(measured.latency_ms) > 0.0


def test_a_server_that_closes_without_a_text_is_a_failure() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()
        await writer.wait_closed()

    async def speak() -> Run:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            now_s, clip = asyncio.get_running_loop().time(), cut_clip(babble(300, 0), 100)
            run = Run([clip], [server.sockets[0].getsockname()[1]], now_s, now_s, now_s + 0.5)
            await run.speak(0, 0.0)
        return run

    measured = asyncio.run(speak()).measured
    assert measured.failed > 0
    assert not measured.latency_ms


def test_a_clip_leaves_as_it_is_spoken() -> None:
    pcm = babble(250, 1)
    clip = cut_clip(pcm, 100)
    assert clip.due_s == (0.1, 0.2, 0.25)
    assert sum(len(message) for message in clip.messages) == pcm.nbytes + 3 * 8 + len(client_frame(TEXT, b"Done"))


@pytest.mark.parametrize("size", [0, 125, 126, 65_535])
def test_a_frame_is_what_the_rfc_says(size: int) -> None:
    frame = client_frame(TEXT, b"x" * size)
    head = bytes((0x81, 0x80 | size)) if size < 126 else struct.pack(">BBH", 0x81, 0xFE, size)
    assert frame == head + bytes(4) + b"x" * size


def test_the_engine_hears_every_stream_whatever_the_batch(bundle: Bundle) -> None:
    recognizer, sounds = open_recognizer(bundle, 1), cut_streams([babble(3000, 1), babble(2000, 2)], 3, 2.0)
    together, alone = play_engine(recognizer, sounds, 100), play_engine(recognizer, sounds, 1)
    assert together.tokens == alone.tokens > 0
    assert together.audio_s == 6.0
    assert [len(sound) for sound in sounds] == [32_000] * 3


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "clips.npz", np.zeros(10, np.float32), np.zeros((2, 10), np.float32))
    with pytest.raises(DataError, match=r"float32 of shape \(2, 10\); allowed are sounds of shape \(samples,\)"):
        read_clips(tmp_path / "clips.npz")
