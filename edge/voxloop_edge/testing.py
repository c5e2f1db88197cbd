"""Fakes of what the device has around it, for tests: a VAD that is told what to say, and a sound card."""

import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from voxloop_edge.resampler import Block
from voxloop_edge.vad import VadKind
from voxloop_proto.audio import Pcm
from voxloop_proto.events import Frame, JudgedFrame, SegmentAudio, SegmentEnded, SegmentEvent, SegmentStarted


class LoudnessVad:
    """A VAD for tests: a frame is voiced if any of its samples reaches the threshold. It keeps no state."""

    kind: VadKind = "onnx"
    version = "fake"

    def __init__(self, threshold: float = 0.1) -> None:
        self.threshold = threshold

    def is_voiced(self, pcm: Pcm) -> bool:
        """Whether the frame is loud."""
        return bool(np.abs(pcm).max(initial=0.0) >= self.threshold)

    def reset(self) -> None:
        """Nothing to forget."""


def judged_frames(pattern: Iterable[bool], frame_samples: int, pcm: Pcm) -> list[JudgedFrame]:
    """Frames of pcm, judged by a pattern; the last one padded as the framer does it."""
    frames = []
    for number, voiced in enumerate(pattern):
        start = number * frame_samples
        part = pcm[start : start + frame_samples]
        padded = np.concatenate((part, np.zeros(frame_samples - len(part), np.float32)))
        frames.append(JudgedFrame(Frame(start, padded, len(part)), voiced))
    return frames


def as_recorded(events: Iterable[SegmentEvent]) -> list[tuple[SegmentStarted, Pcm, SegmentEnded]]:
    """Whole segments: how each began, its sound, how it ended.

    Raises ValueError if events are out of order or a segment's sound has gaps.
    """
    segments: list[tuple[SegmentStarted, Pcm, SegmentEnded]] = []
    started: SegmentStarted | None = None
    parts: list[Pcm] = []
    for event in events:
        if isinstance(event, SegmentStarted):
            if started is not None:
                raise ValueError(f"segment {event.segment_id} begins inside segment {started.segment_id}")
            started, parts = event, []
        elif started is None or event.segment_id != started.segment_id:
            raise ValueError(f"{event!r} is outside its segment")
        elif isinstance(event, SegmentAudio):
            if event.start_sample != started.start_sample + sum(map(len, parts)):
                raise ValueError(f"segment {event.segment_id} has a gap before sample {event.start_sample}")
            parts.append(event.pcm)
        else:
            segments.append((started, np.concatenate([np.zeros(0, np.float32), *parts]), event))
            started = None
    if started is not None:
        raise ValueError(f"segment {started.segment_id} never ends")
    return segments


class FakeSoundDevice(types.ModuleType):
    """Stands in for the module `sounddevice`: one microphone of one rate, which a test makes hear blocks."""

    class PortAudioError(Exception):
        """What the real one raises."""

    def __init__(self, rate_hz: int = 16_000, devices: int = 1) -> None:
        super().__init__("sounddevice")
        self._rate_hz = rate_hz
        self._devices = [
            {"name": f"fake {number}", "max_input_channels": 1, "default_samplerate": float(rate_hz)}
            for number in range(devices)
        ]
        self._callback: Callable[[Block, int, Any, Any], None] | None = None
        self._finished: Callable[[], None] | None = None

    def query_devices(self, device: str | int | None = None, kind: str | None = None) -> Any:
        """All devices, or the one named."""
        if kind is None:
            return self._devices
        if device is None and self._devices:
            return self._devices[0]
        for number, known in enumerate(self._devices):
            if device in (number, known["name"]):
                return known
        raise ValueError(f"No input device matching {device!r}")

    def check_input_settings(self, *_: object, samplerate: int, **__: object) -> None:
        """Raises PortAudioError for a rate that is not the device's own."""
        if samplerate != self._rate_hz:
            raise self.PortAudioError("Invalid sample rate")

    def InputStream(self, **settings: Any) -> "FakeSoundDevice":  # noqa: N802 (the library's name)
        """The one stream: this object."""
        self._callback, self._finished = settings["callback"], settings["finished_callback"]
        return self

    def __enter__(self) -> "FakeSoundDevice":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def hear(self, block: Block, overflow: bool = False) -> None:
        """The microphone hears a block, (N, 1) float32."""
        if self._callback is not None:
            self._callback(block, len(block), None, types.SimpleNamespace(input_overflow=overflow))

    def unplug(self) -> None:
        """The device goes away."""
        if self._finished is not None:
            self._finished()
