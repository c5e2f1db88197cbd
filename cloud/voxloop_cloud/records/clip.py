"""The sound of a segment as a file: FLAC, which loses nothing of 16 bits."""

import io

import numpy as np
import soundfile

from voxloop_proto.audio import PCM16_FULL_SCALE, SAMPLE_RATE_HZ, Pcm
from voxloop_proto.errors import DataError


def to_flac(sound: tuple[Pcm, ...]) -> bytes:
    """Pieces of sound, each (N,) float32 in [-1, 1], as one file of 16 bits."""
    pcm = np.concatenate(sound)
    samples = np.clip(np.rint(pcm * PCM16_FULL_SCALE), -32_768, 32_767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def from_flac(data: bytes) -> Pcm:
    """The sound of a clip, (N,) float32 in [-1, 1]. Raises DataError if it is none."""
    try:
        pcm, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise DataError(f"a clip of {len(data)} bytes cannot be read: {error}") from error
    if pcm.ndim != 1 or rate_hz != SAMPLE_RATE_HZ:
        raise DataError(f"a clip of {rate_hz} Hz and shape {pcm.shape}; allowed is {SAMPLE_RATE_HZ} Hz mono")
    sound: Pcm = pcm
    return sound
