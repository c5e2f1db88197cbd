"""Every kind of file and pipe comes in as 16 kHz mono, and a bad one says what is wrong with it."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from voxloop_edge.resampler import Resampler
from voxloop_edge.source import FileSource, SampleFormat, StdinSource
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import ConfigError, DataError
from voxloop_proto.events import Chunk
from voxloop_proto.stage import run


def tone(rate_hz: int, seconds: float = 1.0) -> Pcm:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def write(path: Path, pcm: Pcm, rate_hz: int = 16_000, subtype: str | None = None) -> Path:
    soundfile.write(path, pcm, rate_hz, subtype=subtype)
    return path


def read(source: FileSource | StdinSource) -> Pcm:
    parts, end = [np.zeros(0, np.float32)], 0
    for chunk in source.chunks():
        assert chunk.start_sample == end
        assert chunk.pcm.dtype == np.float32
        end += len(chunk.pcm)
        parts.append(chunk.pcm)
    return np.concatenate(parts)


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 7])
def test_any_rate_and_channel_count_becomes_16_khz_mono(tmp_path: Path, rate_hz: int, channels: int) -> None:
    path = write(tmp_path / "a.wav", np.tile(tone(rate_hz)[:, None], channels), rate_hz, "PCM_24")
    source = FileSource(path)
    heard = read(source)
    assert source.duration_s == 1.0
    assert source.lost_samples == 0
    assert len(heard) == 16_000
    np.testing.assert_allclose(heard[1000:-1000], tone(16_000)[1000:-1000], atol=2e-3)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.opus"])
def test_every_promised_format_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(16_000), 16_000, format="OGG" if name == "a.opus" else None)
    heard = read(FileSource(path))
    assert abs(len(heard) - 16_000) <= 2304
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.1)


def test_chunks_are_short_however_long_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(44_100, 5), 44_100)
    assert max(len(chunk.pcm) for chunk in FileSource(path).chunks()) <= 3200


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(DataError, match=r"a\.wav is empty \(0 bytes\)"):
        FileSource(tmp_path / "a.wav")


def test_a_file_of_no_samples_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="audio of 0 samples"):
        FileSource(write(tmp_path / "a.wav", np.zeros(0, np.float32)))


def test_text_under_the_name_of_audio_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("hello world")
    with pytest.raises(DataError, match=r"begins with b'hello world'.*allowed are WAV, FLAC"):
        FileSource(tmp_path / "a.wav")


def test_a_missing_file_is_the_operators_to_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        FileSource(tmp_path / "none.wav")


@pytest.mark.parametrize(("name", "least_s"), [("a.flac", 0.9), ("a.wav", 1.4), ("a.mp3", 1.2)])
def test_a_file_cut_short_gives_its_part_and_then_says_how_much_is_missing(
    tmp_path: Path, name: str, least_s: float
) -> None:
    noise = np.random.default_rng(5).uniform(-0.1, 0.1, 48_000).astype(np.float32)
    whole = write(tmp_path / name, noise).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    heard: list[Chunk] = []
    with pytest.raises(DataError, match=r"s were read of 3\.00 s promised"):
        _collect(FileSource(tmp_path / name), heard)
    assert least_s <= sum(len(chunk.pcm) for chunk in heard) / 16_000 <= 1.6


def _collect(source: FileSource, into: list[Chunk]) -> None:
    for chunk in source.chunks():
        into.append(chunk)  # noqa: PERF402 (what came before the error is wanted)


def test_a_wav_file_written_to_a_pipe_is_whole(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.wav", tone(16_000)).read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # the writer did not know the length
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read(FileSource(tmp_path / "a.wav"))) == 16_000


@pytest.mark.parametrize("value", [np.nan, np.inf, 20_000.0])
def test_a_sample_that_is_no_sound_is_named(tmp_path: Path, value: float) -> None:
    pcm = np.tile(tone(16_000)[:, None], 2)
    pcm[4321, 1] = value
    source = FileSource(write(tmp_path / "a.wav", pcm, subtype="FLOAT"))
    with pytest.raises(DataError, match=r"a\.wav: sample 4321 \(0\.270 s\) of channel 1"):
        read(source)


class Pipe(io.RawIOBase):
    """A pipe that gives a few bytes at a time, as real ones do."""

    def __init__(self, data: bytes, lengths: list[int]) -> None:
        self._data, self._lengths = data, lengths

    def read(self, size: int = -1) -> bytes:
        length = min(size, self._lengths[0])
        self._lengths = self._lengths[1:] + self._lengths[:1]
        part, self._data = self._data[:length], self._data[length:]
        return part


@given(lengths=st.lists(st.integers(1, 4000), min_size=1, max_size=9), channels=st.integers(1, 3))
def test_a_pipe_is_read_whole_however_it_drips(lengths: list[int], channels: int) -> None:
    pcm = tone(16_000, 0.3)
    data = np.repeat(np.rint(pcm * 32_768).astype("<i2"), channels).tobytes()
    heard = read(StdinSource(Pipe(data, lengths), 16_000, channels, "s16le"))  # type: ignore[arg-type]  # has read
    np.testing.assert_allclose(heard, pcm, atol=1e-4)


def test_floats_come_through_a_pipe_as_they_are() -> None:
    pcm = tone(8000, 0.5)
    heard = read(StdinSource(io.BytesIO(pcm.tobytes()), 8000, 1, "f32le"))
    assert len(heard) == 8000


def test_a_pipe_that_ends_in_mid_sample_says_so_after_its_sound() -> None:
    source = StdinSource(io.BytesIO(b"\0" * 643), 16_000, 2, "s16le")
    chunks = source.chunks()
    assert len(next(chunks).pcm) == 160
    with pytest.raises(DataError, match="3 bytes of a frame of 4"):
        next(chunks)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "sample_format"), [(100, 1, "s16le"), (16_000, 0, "s16le"), (16_000, 1, "u8")]
)
def test_a_pipe_that_cannot_be_is_refused_at_once(rate_hz: int, channels: int, sample_format: SampleFormat) -> None:
    with pytest.raises(ConfigError, match="allowed are"):
        StdinSource(io.BytesIO(), rate_hz, channels, sample_format)


@given(
    rate_hz=st.sampled_from([8000, 11_025, 16_000, 44_100, 48_000]),
    lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=9).filter(any),
    samples=st.integers(0, 12_000),
)
def test_resampling_does_not_depend_on_the_blocks(rate_hz: int, lengths: list[int], samples: int) -> None:
    pcm = np.random.default_rng(samples).uniform(-0.5, 0.5, samples).astype(np.float32)
    cuts = [cut for cut in np.cumsum(lengths * (samples // sum(lengths) + 1)).tolist() if cut < samples]
    whole = [chunk.pcm for chunk in run(Resampler(rate_hz, 1), [pcm])]
    pieces = [chunk.pcm for chunk in run(Resampler(rate_hz, 1), np.split(pcm, cuts))]
    empty = np.zeros(0, np.float32)
    assert np.array_equal(np.concatenate([empty, *whole]), np.concatenate([empty, *pieces]))
    assert abs(sum(map(len, whole)) - samples * 16_000 / rate_hz) <= 1


def test_pages_whose_times_do_not_join_on_are_read_through() -> None:
    """libsndfile says "malformed" at such a page of Ogg, and goes on when asked again; 48 clips of ESC-10 have some."""
    folder = Path(os.environ.get("VOXLOOP_SHARED", "../shared")) / "data" / "esc10-noise" / "noise"
    if not folder.is_dir():
        pytest.skip("no recordings; set VOXLOOP_SHARED")
    for file in sorted(folder.glob("1-17*.opus")):
        source = FileSource(file)
        samples = sum(chunk.pcm.size for chunk in source.chunks())
        assert samples == pytest.approx(source.duration_s * 16_000, abs=320)
