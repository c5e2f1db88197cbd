"""What sound is inside voxloop: 16 kHz, mono, float32 in [-1, 1]; and how much of it is left around speech."""

import math

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000
PCM16_FULL_SCALE = 32_768.0
SILENCE_DBFS = -100.0
"""The level reported for digital silence, whose true level is minus infinity."""

Pcm = npt.NDArray[np.float32]
"""Samples, shape (N,), float32 in [-1, 1], 16 kHz mono."""


class PaddingPolicy(BaseModel):
    """How much sound is left before and after speech, on the device and in training alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before_ms: int = Field(300, ge=0, le=2000, description="sound kept before the first voiced frame, in ms")
    after_ms: int = Field(300, ge=60, le=3000, description="silence that ends a segment and belongs to it, in ms")


def level_dbfs(pcm: Pcm) -> float:
    """RMS level of samples in decibels relative to full scale; SILENCE_DBFS for silence or no samples."""
    if pcm.size == 0:
        return SILENCE_DBFS
    mean_square = float(np.dot(pcm, pcm)) / pcm.size
    return max(SILENCE_DBFS, 10.0 * math.log10(mean_square)) if mean_square > 0 else SILENCE_DBFS


def to_pcm16(pcm: Pcm) -> bytes:
    """Samples as signed 16-bit little-endian bytes; what lies outside [-1, 1] is clipped."""
    scaled = np.rint(pcm * PCM16_FULL_SCALE)
    return bytes(np.clip(scaled, -32_768, 32_767).astype("<i2").tobytes())


def from_pcm16(payload: bytes) -> Pcm:
    """Signed 16-bit little-endian bytes as samples. The number of bytes must be even."""
    return np.frombuffer(payload, dtype="<i2").astype(np.float32) / np.float32(PCM16_FULL_SCALE)


def ms_to_samples(duration_ms: float) -> int:
    """Samples in a duration at 16 kHz."""
    return round(duration_ms * SAMPLES_PER_MS)


def samples_to_ms(samples: int) -> float:
    """Duration of samples at 16 kHz, in ms."""
    return samples / SAMPLES_PER_MS
