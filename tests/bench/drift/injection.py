"""What is changed on purpose: the sound before the device's stages, or the settings of these."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.signal import butter, sosfilt
from tests.bench.drift.speaking_rate import at_rate

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, level_dbfs

Change = Callable[[Pcm, Pcm], Pcm]
"""Of a session's sound, (N,) float32, and a recording of noise: the sound as the changed microphone gives it."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One change, and the stage at which it happens.

    of_clip: of each clip before the session is put together. settings: the edge's, dotted.
    """

    name: str
    stage: str
    what: str
    of_clip: Callable[[Pcm], Pcm] = lambda pcm: pcm
    of_session: Change = lambda pcm, _: pcm
    settings: dict[str, Any] = field(default_factory=dict)


def gained(pcm: Pcm, gain_db: float) -> Pcm:
    """Louder or quieter; what the converter cannot hold is clipped."""
    clipped: Pcm = np.clip(pcm * np.float32(10 ** (gain_db / 20)), -1.0, 1.0)
    return clipped


def low_passed(pcm: Pcm, edge_hz: float) -> Pcm:
    """24 dB an octave less above the edge."""
    sections = butter(4, edge_hz, fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(sosfilt(sections, pcm), np.float32)


def in_noise(pcm: Pcm, noise: Pcm, noise_dbfs: float) -> Pcm:
    """With the noise under it, at one level throughout."""
    loud = gained(np.resize(noise, len(pcm)), noise_dbfs - level_dbfs(noise))
    mixed: Pcm = np.clip(pcm + loud, -1.0, 1.0)
    return mixed


def reversed_in_time(pcm: Pcm) -> Pcm:
    """The same level, length and spectrum, and not a word of it in any language that the model knows."""
    return pcm[::-1].copy()


BASE = Injection("base", "", "nothing changed")
UNTOLD = Injection("vad, not told", "vad", "VAD aggressiveness 3, not told")
"""Drawn from what was recorded with the other VAD, as if the settings were those of before."""

SMALL = Injection("gain-small", "", "microphone 1 dB quieter", of_session=lambda pcm, _: gained(pcm, -1.0))
INJECTIONS = (
    Injection("gain", "capture", "microphone 12 dB quieter", of_session=lambda pcm, _: gained(pcm, -12.0)),
    Injection("low-pass", "capture", "microphone dull above 2 kHz", of_session=lambda pcm, _: low_passed(pcm, 2000.0)),
    Injection("noise", "capture", "new noise, -45 dBFS", of_session=lambda pcm, noise: in_noise(pcm, noise, -45.0)),
    Injection("clipping", "capture", "input overdriven by 20 dB", of_session=lambda pcm, _: gained(pcm, 20.0)),
    Injection("rate", "capture", "people speak 1.3 times as fast", of_clip=lambda pcm: at_rate(pcm, 1.3)),
    Injection("vad", "vad", "VAD aggressiveness 3 instead of 2", settings={"vad.aggressiveness": 3}),
    Injection("padding", "vad", "100 instead of 300 ms after speech", settings={"padding.after_ms": 100}),
    Injection("target", "normalizer", "level of -33 instead of -23 dBFS", settings={"normalizer.target_dbfs": -33.0}),
    Injection("language", "recognizer", "speech reversed in time, for another language", of_clip=reversed_in_time),
)
LANGUAGES = (
    Injection("de", "recognizer", "synthetic voices speak German, not English"),
    Injection("es", "recognizer", "synthetic voices speak Spanish, not English"),
)
"""Of voices.py: the injection is who speaks."""
