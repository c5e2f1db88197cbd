"""The device's microphone, through PortAudio."""

import threading
from collections import deque
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from voxloop_edge.resampler import Block, Resampler
from voxloop_edge.source import CHUNK_MS
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import ConfigError, UnavailableError
from voxloop_proto.events import Chunk

MICROPHONE_QUEUE_CHUNKS = 50
"""5 s of sound wait between PortAudio's thread and the pipeline at most. When the queue is full, the oldest chunk is
dropped and counted as lost: what is being said now matters more."""


class Microphone:
    """A source that listens until `stop` is called, which any thread may do.

    device: a name, a part of a name, or a number of `list_devices`; None is the system's default.

    Sound that the queue or PortAudio had to drop leaves a hole in the time index and is counted in lost_samples.

    Raises ConfigError if PortAudio, the device or its settings are not there, UnavailableError if the device goes away.
    """

    def __init__(self, device: str | int | None = None) -> None:
        self._sounddevice = _load_library()
        self._device = device
        self._rate_hz, self._channels = self._best_settings()
        self._arrived = threading.Condition()
        self._queue: deque[tuple[int, Block]] = (
            deque()
        )  # bounded by _take_block; (position at the device's rate, block)
        self._position = 0
        self._lost_frames = 0
        self._stopped = False
        self._gone = False

    @property
    def lost_samples(self) -> int:
        """Samples at 16 kHz that were dropped."""
        return self._lost_frames * SAMPLE_RATE_HZ // self._rate_hz

    def stop(self) -> None:
        """Ends `chunks`, after what has arrived by now."""
        with self._arrived:
            self._stopped = True
            self._arrived.notify_all()

    def chunks(self) -> Iterator[Chunk]:
        """What the microphone hears from now on, until `stop`."""
        try:
            stream = self._sounddevice.InputStream(
                samplerate=self._rate_hz,
                blocksize=self._rate_hz * CHUNK_MS // 1000,
                device=self._device,
                channels=self._channels,
                dtype="float32",
                callback=self._take_block,
                finished_callback=self._finish,
            )
        except self._sounddevice.PortAudioError as error:
            raise ConfigError(self._not_opened(error)) from error
        with stream:
            yield from self._resampled()

    def _resampled(self) -> Iterator[Chunk]:
        expected = 0
        resampler = Resampler(self._rate_hz, self._channels)
        while (arrival := self._wait()) is not None:
            position, block = arrival
            if position != expected:
                yield from resampler.flush()
                start_sample = round(position * SAMPLE_RATE_HZ / self._rate_hz)
                resampler = Resampler(self._rate_hz, self._channels, start_sample)
            expected = position + len(block)
            yield from resampler.push(block)
        yield from resampler.flush()

    def _wait(self) -> tuple[int, Block] | None:
        with self._arrived:
            self._arrived.wait_for(lambda: self._queue or self._stopped or self._gone)
            if self._queue:
                return self._queue.popleft()
            if self._gone and not self._stopped:
                raise UnavailableError(f"microphone {self._name()} went away; plug it in again and start anew")
            return None

    def _take_block(self, block: Block, frames: int, _time: Any, status: Any) -> None:
        """PortAudio's callback, on its own thread."""
        with self._arrived:
            if status.input_overflow:  # PortAudio does not say how much; one block is the least that its buffers hold
                self._lose(frames)
            self._queue.append((self._position, block.copy()))
            self._position += frames
            if len(self._queue) > MICROPHONE_QUEUE_CHUNKS:
                self._lost_frames += len(self._queue.popleft()[1])
            self._arrived.notify_all()

    def _lose(self, frames: int) -> None:
        self._position += frames
        self._lost_frames += frames

    def _finish(self) -> None:
        with self._arrived:
            self._gone = True
            self._arrived.notify_all()

    def _best_settings(self) -> tuple[int, int]:
        """16 kHz mono where the device can do that, else its own rate; soxr does the rest."""
        library = self._sounddevice
        try:
            own = library.query_devices(self._device, "input")
        except (ValueError, library.PortAudioError) as error:
            raise ConfigError(self._not_opened(error)) from error
        try:
            library.check_input_settings(self._device, channels=1, dtype="float32", samplerate=SAMPLE_RATE_HZ)
        except (ValueError, library.PortAudioError):
            return round(own["default_samplerate"]), 1
        return SAMPLE_RATE_HZ, 1

    def _name(self) -> str:
        return "(the default)" if self._device is None else repr(self._device)

    def _not_opened(self, error: Exception) -> str:
        there = list_devices()
        known = "there are: " + "; ".join(there) if there else "there is no microphone; plug one in or give a file"
        return f"microphone {self._name()} cannot be opened ({error}); {known}"


def list_devices() -> list[str]:
    """The microphones there are, as "number: name".

    Raises ConfigError if PortAudio is not installed.
    """
    devices = _load_library().query_devices()
    return [f"{number}: {device['name']}" for number, device in enumerate(devices) if device["max_input_channels"] > 0]


def _load_library() -> ModuleType:
    try:
        import sounddevice  # noqa: PLC0415 (native: needs the system's PortAudio)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the microphone needs the library '{error.name}'; install it with: pip install 'voxloop[edge]'"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"the microphone needs the system's PortAudio ({error}); install it (Debian: apt install libportaudio2)"
        ) from error
    library: ModuleType = sounddevice
    return library
