"""`voxloop listen` as a user runs it, with a pipe in place of the microphone."""

import contextlib
import fcntl
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import IO

import soundfile
from tests.e2e.conftest import QUERIES, ServerProcess, voxloop

from voxloop_proto.audio import to_pcm16


def raw_query() -> bytes:
    pcm, _ = soundfile.read(QUERIES / "two.flac", dtype="float32")
    return to_pcm16(pcm)


def wait_until_read(pipe: IO[bytes]) -> None:
    """Waits until the other end has taken all that was written."""
    deadline_s = time.monotonic() + 30
    while struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0] and time.monotonic() < deadline_s:
        time.sleep(0.02)


def listen(server: ServerProcess, *arguments: str) -> "subprocess.Popen[bytes]":
    command = voxloop("listen", "--insecure", "--server", server.address, *arguments)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_raw_sound_on_a_pipe_becomes_a_line_per_segment(server: ServerProcess) -> None:
    with listen(server, "--stdin", "s16le") as process:
        out, error = process.communicate(raw_query(), timeout=60)
    assert process.returncode == 0, error
    assert len(out.decode().splitlines()) == 2


def test_ctrl_c_ends_cleanly_with_the_last_transcript(server: ServerProcess) -> None:
    sound = raw_query()
    with listen(server, "--stdin", "s16le") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sound[: int(len(sound) * 0.85)])  # the second query is not over yet
        process.stdin.flush()
        first = process.stdout.readline()
        wait_until_read(process.stdin)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert first.strip()
    assert rest.strip()


def test_odd_bytes_on_the_pipe_are_an_error_after_the_transcripts(server: ServerProcess) -> None:
    with listen(server, "--stdin", "s16le") as process:
        out, error = process.communicate(raw_query() + b"\0", timeout=60)
    assert process.returncode == 6
    assert len(out.decode().splitlines()) == 2
    assert b"check the number of channels and the sample format" in error


def test_a_wrong_sample_format_names_those_allowed(server: ServerProcess) -> None:
    with listen(server, "--stdin", "mp3") as process:
        _, error = process.communicate(b"", timeout=60)
    assert process.returncode == 2
    assert b"allowed are s16le, f32le" in error


def test_a_terminal_shows_a_level_meter_and_forming_text(server: ServerProcess, tmp_path: Path) -> None:
    raw = tmp_path / "query.raw"
    raw.write_bytes(raw_query())
    inner = " ".join(voxloop("listen", "--insecure", "--server", server.address, "--stdin", "s16le"))
    command = ["script", "-qec", f"{inner} < {raw}", "/dev/null"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "·" in done.stdout.decode()  # the meter; how far it is out when the screen is drawn is chance
    assert " ms" in done.stdout.decode()


def test_events_that_nobody_reads_any_more_end_the_listener_in_peace(server: ServerProcess) -> None:
    with listen(server, "--stdin", "s16le", "--json") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(raw_query()[:32_000])
        process.stdin.flush()
        assert b'"event":"level"' in process.stdout.readline() + process.stdout.readline()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # it may have ended by now
            process.stdin.write(raw_query()[32_000:96_000])
            process.stdin.flush()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""
