"""Where sound comes from: files and raw PCM on a pipe. The microphone is in `microphone.py`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import numpy as np
import soundfile

from voxloop_edge.resampler import Block, Resampler
from voxloop_proto.errors import ConfigError, DataError
from voxloop_proto.events import Chunk

CHUNK_MS = 100
SampleFormat = Literal["s16le", "f32le"]
_DTYPE: dict[SampleFormat, str] = {"s16le": "<i2", "f32le": "<f4"}
_FULL_SCALE: dict[SampleFormat, float] = {"s16le": 32_768.0, "f32le": 1.0}

_MP3_SLACK_FRAMES = 2 * 1152  # an MP3 stream's own delay and padding may or may not be counted in its header
_OGG_SLACK_MS = 20  # the last page's time may be off by less than one packet
_UNKNOWN_LENGTH_FRAMES = 1 << 40  # a header written to a pipe says 0 or the largest number it can
_WAV_PROMISE = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_LENGTH_BYTES = 0x7FFF_0000


class Source(Protocol):
    """Sound as it arrives, brought to 16 kHz mono."""

    @property
    def lost_samples(self) -> int:
        """Samples (at 16 kHz) that arrived but could not be taken; the time index counts them."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """The sound from the session's start to its end, in order, about 100 ms at a time."""
        ...


class FileSource:
    """An audio file that libsndfile reads (WAV, FLAC, Ogg/Opus, MP3, ...), read as a stream.

    Raises ConfigError if there is no such file or it has a rate or a number of channels that cannot be taken, DataError
    if it is no audio. A file that is damaged or cut short gives
    all that can be decoded, and then raises DataError that says how much is missing.
    """

    lost_samples = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            self._rate_hz: int = file.samplerate
            self._promised_frames = _promised_frames(file)
            self._duration_s: float = (self._promised_frames or file.frames) / file.samplerate
            if file.frames == 0 and self._promised_frames == 0:
                raise DataError(f"{path} is audio of 0 samples; record or copy it again")

    @property
    def duration_s(self) -> float:
        """The length that the file's header names, in seconds."""
        return self._duration_s

    def chunks(self) -> Iterator[Chunk]:
        """The sound, as far as it can be decoded.

        Raises DataError for a file that is damaged, cut short or has samples that are no numbers.
        """
        read_frames, failure = 0, ""
        with self._open() as file:
            resampler = self._new_resampler(file)
            while not failure:
                block, failure = _read_block(file)
                if len(block) == 0:
                    break
                read_frames += len(block)
                yield from self._resample(resampler, block)
                if file.format == "OGG":
                    failure = ""  # a page whose time does not follow on from the last is no damage: reading goes on
            yield from resampler.flush()
        slack_frames = {"MP3": _MP3_SLACK_FRAMES, "OGG": file.samplerate * _OGG_SLACK_MS // 1000}.get(file.format, 0)
        if failure or read_frames + slack_frames < self._promised_frames:
            raise DataError(self._cut_short(read_frames, failure))

    def _open(self) -> soundfile.SoundFile:
        try:
            with self._path.open("rb") as file:
                first_bytes = file.read(12)
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror}; give an audio file") from error
        if not first_bytes:
            raise DataError(f"{self._path} is empty (0 bytes); record or copy it again")
        try:
            return soundfile.SoundFile(self._path)
        except soundfile.LibsndfileError as error:
            raise DataError(
                f"{self._path} begins with {first_bytes!r} and is no audio that can be read ({error.error_string}); "
                "allowed are WAV, FLAC, Ogg/Opus and MP3; raw samples come in through standard input"
            ) from error

    def _new_resampler(self, file: soundfile.SoundFile) -> Resampler:
        try:
            return Resampler(file.samplerate, file.channels)
        except ConfigError as error:
            raise ConfigError(f"{self._path}: {error.message}") from error

    def _resample(self, resampler: Resampler, block: Block) -> tuple[Chunk, ...]:
        try:
            return resampler.push(block)
        except DataError as error:
            raise DataError(f"{self._path}: {error.message}") from error

    def _cut_short(self, read_frames: int, failure: str) -> str:
        promised = ""
        if self._promised_frames < _UNKNOWN_LENGTH_FRAMES:
            promised = f" of {self._promised_frames / self._rate_hz:.2f} s promised"
        why = f" ({failure})" if failure else ""
        return (
            f"{self._path} is damaged or cut short: {read_frames / self._rate_hz:.2f} s were read{promised}{why}; "
            "what was read has been used; copy the file again for the rest"
        )


class StdinSource:
    """Raw interleaved samples from a pipe.

    Raises ConfigError for settings that cannot be, DataError at the end of a stream that stops in mid-sample.
    """

    lost_samples = 0

    def __init__(self, stream: BinaryIO, sample_rate_hz: int, channels: int, sample_format: SampleFormat) -> None:
        if sample_format not in _DTYPE:
            raise ConfigError(f"sample format {sample_format!r}; allowed are {', '.join(_DTYPE)}")
        self._stream = stream
        self._resampler = Resampler(sample_rate_hz, channels)
        self._channels = channels
        self._format = sample_format
        self._frame_bytes = np.dtype(_DTYPE[sample_format]).itemsize * channels
        self._chunk_bytes = self._frame_bytes * max(1, sample_rate_hz * CHUNK_MS // 1000)

    def chunks(self) -> Iterator[Chunk]:
        """The sound until the pipe is closed."""
        rest = b""
        while data := self._stream.read(self._chunk_bytes):
            data = rest + data
            whole_bytes = len(data) // self._frame_bytes * self._frame_bytes
            rest = data[whole_bytes:]
            yield from self._resampler.push(self._to_block(data[:whole_bytes]))
        yield from self._resampler.flush()
        if rest:
            raise DataError(
                f"standard input ended with {len(rest)} bytes of a frame of {self._frame_bytes} "
                f"({self._channels} channels of {self._format}); check the number of channels and the sample format"
            )

    def _to_block(self, data: bytes) -> Block:
        samples = np.frombuffer(data, _DTYPE[self._format]).reshape(-1, self._channels)
        return samples.astype(np.float32) / np.float32(_FULL_SCALE[self._format])


def _promised_frames(file: soundfile.SoundFile) -> int:
    """The length that the header names; 0 if it names none. libsndfile shortens a WAV file's to what is there."""
    if promise := _WAV_PROMISE.search(file.extra_info):
        promised_bytes, found_bytes = int(promise[1]), int(promise[2])
        if found_bytes < promised_bytes < _UNKNOWN_LENGTH_BYTES and file.frames:
            return promised_bytes * int(file.frames) // found_bytes
    return int(file.frames) if file.frames < _UNKNOWN_LENGTH_FRAMES else 0


def _read_block(file: soundfile.SoundFile) -> tuple[Block, str]:
    """The next 100 ms, and why there will be no more (empty if there may be)."""
    block = np.empty((max(1, file.samplerate * CHUNK_MS // 1000), file.channels), np.float32)
    block[:, 0] = np.nan
    start = file.tell()
    try:
        return file.read(out=block), ""
    except soundfile.LibsndfileError as error:
        # The part of the block before the fault has been decoded: the file's position says how far.
        return block[: max(0, file.tell() - start)], error.error_string or "the decoder failed"
