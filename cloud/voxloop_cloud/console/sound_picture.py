"""A clip as pictures: the waveform as an SVG path, the spectrogram as a PNG that stands on light and dark alike."""

import struct
import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm

COLUMNS: Final = 600
"""Of the waveform; more than a screen shows."""

WINDOW_SAMPLES: Final = 512
HOP_SAMPLES: Final = 160
MOST_FRAMES: Final = 2_000
FLOOR_DB: Final = 70.0
"""Below the loudest bin: what lies deeper is not drawn."""

_FAINT, _LOUD = np.array([64, 110, 200.0]), np.array([226, 112, 40.0])
_Bytes = npt.NDArray[np.uint8]


def waveform_path(pcm: Pcm, height: float = 100.0) -> str:
    """An SVG path over COLUMNS x height. pcm: (N,) float32 in [-1, 1]. The loudest sample reaches the edges."""
    columns = min(COLUMNS, max(1, len(pcm)))
    edges = np.linspace(0, len(pcm), columns + 1).astype(int)[:-1]
    high, low = np.maximum.reduceat(pcm, edges), np.minimum.reduceat(pcm, edges)
    scale = height / 2.0 / max(1e-4, float(np.abs(pcm).max()))
    x = np.linspace(0, COLUMNS, columns)
    upper = [f"{a:.0f},{height / 2 - max(0.4, b * scale):.1f}" for a, b in zip(x, high, strict=True)]
    lower = [f"{a:.0f},{height / 2 - min(-0.4, b * scale):.1f}" for a, b in zip(x[::-1], low[::-1], strict=True)]
    return f"M{' L'.join(upper)} L{' L'.join(lower)} Z"


def spectrogram_png(pcm: Pcm) -> bytes:
    """Frequency upwards to 8 kHz, time to the right: a palette PNG, transparent where it is silent."""
    hop = max(HOP_SAMPLES, -(-len(pcm) // MOST_FRAMES))
    padded = np.pad(pcm, (0, max(0, WINDOW_SAMPLES - len(pcm))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW_SAMPLES), axis=1)) ** 2
    level_db = 10.0 * np.log10(power + 1e-10)
    depth = np.clip(1.0 + (level_db - level_db.max()) / FLOOR_DB, 0.0, 1.0)
    return _palette_png(np.rint(255.0 * depth.T[::-1]).astype(np.uint8))


def _palette_png(picture: _Bytes) -> bytes:
    """picture: (height, width) places in the palette."""
    height, width = picture.shape
    depth = np.linspace(0.0, 1.0, 256)
    colours = (_FAINT + (_LOUD - _FAINT) * depth[:, None] ** 1.5).astype(np.uint8)
    alpha = (255.0 * np.clip(1.35 * depth, 0.0, 1.0)).astype(np.uint8)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture], axis=1)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colours.tobytes()),
            _chunk(b"tRNS", alpha.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def seconds(pcm: Pcm) -> float:
    """How long it is."""
    return len(pcm) / SAMPLE_RATE_HZ
