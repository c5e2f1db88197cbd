"""What narrow bands and coarse quantisers leave of speech."""

import io

import numpy as np
import soundfile
import torch
from pydantic import BaseModel, ConfigDict, Field
from torchaudio.functional import resample

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.contract import OPUS_PACKET_SAMPLES
from voxloop_proto.opus import OpusDecoder, OpusEncoder

_MU = 255.0
_WIRE_BPS = (22_000, 32_000)
"""Bit rates around the device's 27 kbit/s."""


class CodecConfig(BaseModel):
    """How often each codec is heard. Opus costs about as much time as training on the clip: keep it rare."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    narrow_band: float = Field(0.08, ge=0, le=1, description="share of clips sent through 8 kHz, 0 to 1")
    mu_law: float = Field(0.05, ge=0, le=1, description="share of clips sent through 8-bit mu-law, 0 to 1")
    opus: float = Field(0.03, ge=0, le=1, description="share of clips sent through low-rate Opus, 0 to 1")
    wire: float = Field(0.0, ge=0, le=1, description="share of clips sent as a device sends Opus, 0 to 1")


class Codec:
    """Sends a clip through at most one codec; the length stays."""

    def __init__(self, config: CodecConfig) -> None:
        self._config = config

    def __call__(self, samples: Pcm, rng: np.random.Generator) -> Pcm:
        chance, c = rng.random(), self._config
        if chance < c.narrow_band:
            return narrow_band(samples)
        if chance < c.narrow_band + c.mu_law:
            return mu_law(samples)
        if chance < c.narrow_band + c.mu_law + c.opus:
            return opus(samples, compression_ratio=float(rng.uniform(0.85, 1.0)))
        if chance < c.narrow_band + c.mu_law + c.opus + c.wire:
            return wire(samples, bitrate_bps=int(rng.integers(*_WIRE_BPS)))
        return samples


def narrow_band(samples: Pcm) -> Pcm:
    """Down to 8 kHz and up again: nothing is left above 4 kHz."""
    low = resample(torch.from_numpy(samples), 2, 1)
    return _fit(resample(low, 1, 2).numpy(), len(samples))


def mu_law(samples: Pcm) -> Pcm:
    """Eight bits per sample with G.711's curve."""
    clipped = np.clip(samples, -1.0, 1.0)
    pressed = np.sign(clipped) * np.log1p(_MU * np.abs(clipped)) / np.log1p(_MU)
    coarse = np.round(pressed * 127.0) / 127.0
    return np.asarray(np.sign(coarse) * np.expm1(np.abs(coarse) * np.log1p(_MU)) / _MU, dtype=np.float32)


def opus(samples: Pcm, compression_ratio: float) -> Pcm:
    """Through Ogg Opus and back; a ratio of 1 is the lowest bit rate (6 kbit/s)."""
    packed = io.BytesIO()
    clipped = np.clip(samples, -1.0, 1.0)
    soundfile.write(packed, clipped, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=compression_ratio)
    packed.seek(0)
    decoded, _ = soundfile.read(packed, dtype="float32")
    return _fit(decoded, len(samples))


def wire(samples: Pcm, bitrate_bps: int) -> Pcm:
    """Through the Opus that a device puts on the wire, and back. Raises ConfigError if libopus is missing."""
    encoder, decoder = OpusEncoder(bitrate_bps), OpusDecoder()
    second = 50 * OPUS_PACKET_SAMPLES
    whole = len(samples) // second * second
    payloads = [encoder.encode(samples[start : start + second]) for start in range(0, whole, second)]
    payloads.append(encoder.finish(samples[whole:]))
    return _fit(np.concatenate([decoder.decode(payload) for payload in payloads]), len(samples))


def _fit(samples: Pcm, length_samples: int) -> Pcm:
    """Cut or zero-pad to a length."""
    short = max(0, length_samples - len(samples))
    return np.asarray(np.pad(samples[:length_samples], (0, short)), dtype=np.float32)
