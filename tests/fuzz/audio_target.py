"""Recordings and test sets from anywhere: audio files and manifests."""

import io
import json

import numpy as np
import soundfile
from tests.fuzz.choices import Choices
from tests.fuzz.files import scratch
from tests.fuzz.target import FuzzTarget

from voxloop_cloud.testing import babble
from voxloop_edge.manifest import read_clips
from voxloop_edge.source import FileSource
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import VoxloopError

_SUFFIXES = ("wav", "flac", "ogg", "mp3", "jsonl")
_SEED_MS = 150
_MOST_SAMPLES = 60 * SAMPLE_RATE_HZ
"""No mutation of a file of 150 ms holds more: a few bytes of Opus or MP3 may stand for half a second at most."""


def run(data: bytes) -> None:
    """A file is read to its end, or refused with a VoxloopError; its sound is finite and in one piece."""
    choices = Choices(data)
    suffix = choices.pick(_SUFFIXES)
    file = scratch() / f"clip.{suffix}"
    file.write_bytes(choices.take(len(data)))
    try:
        for clip in read_clips([file]):
            _hear(FileSource(clip.audio))
    except VoxloopError:
        pass


def _hear(source: FileSource) -> None:
    next_sample = 0
    for chunk in source.chunks():
        assert chunk.start_sample == next_sample
        assert np.isfinite(chunk.pcm).all()
        next_sample += len(chunk.pcm)
        if next_sample > _MOST_SAMPLES:
            return


def _seeds() -> list[bytes]:
    formats = (
        ("wav", ("WAV", "PCM_16", 16_000)),
        ("wav", ("WAV", "FLOAT", 44_100)),
        ("wav", ("WAV", "ULAW", 8_000)),
        ("wav", ("W64", "PCM_24", 16_000)),
        ("wav", ("AIFF", "PCM_16", 16_000)),
        ("wav", ("AU", "PCM_16", 16_000)),
        ("wav", ("CAF", "ALAC_16", 16_000)),
        ("flac", ("FLAC", "PCM_16", 16_000)),
        ("ogg", ("OGG", "VORBIS", 16_000)),
        ("ogg", ("OGG", "OPUS", 48_000)),
        ("mp3", ("MP3", "MPEG_LAYER_III", 16_000)),
    )
    sounds = [bytes([_SUFFIXES.index(suffix)]) + _sound(*of_file) for suffix, of_file in formats]
    return [*sounds, bytes([_SUFFIXES.index("jsonl")]) + _manifest()]


def _sound(kind: str, subtype: str, rate_hz: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, babble(_SEED_MS), rate_hz, format=kind, subtype=subtype)
    return out.getvalue()


def _manifest() -> bytes:
    (scratch() / "good.wav").write_bytes(_sound("WAV", "PCM_16", 16_000))
    rows = [{"audio": "good.wav", "id": "a", "text": "yes", "speaker": "s", "score": 1.5}, {"audio": "good.wav"}]
    return "\n".join(json.dumps(row) for row in rows).encode()


AUDIO = FuzzTarget("audio", "audio files and manifests", _seeds, run)
