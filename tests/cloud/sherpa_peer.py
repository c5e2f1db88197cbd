"""What the tests of parity share: sherpa-onnx on a sound that is padded as ours is, and sounds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.decoder import SPACE
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm

QUERIES = Path(__file__).parents[1] / "data" / "queries"


def streaming_tokens(peer: Any, bundle: Bundle, pcm: Pcm) -> list[str]:
    """What sherpa-onnx makes of the sound, padded with as much silence as is ours to add."""
    return [_ours(token) for token in peer.tokens(streamed(peer, bundle, pcm))]


def streamed(peer: Any, bundle: Bundle, pcm: Pcm) -> Any:
    """A stream of sherpa-onnx, with the sound recognised to its end."""
    config = bundle.config
    frames = config.windows.padded_frames(config.features.frames_in(pcm.size))
    assert frames is not None
    # One frame more than ours: sherpa-onnx waits until there is a frame beyond the window.
    silence = config.features.samples_for(frames + 1) - pcm.size
    stream = peer.create_stream()
    stream.accept_waveform(SAMPLE_RATE_HZ, np.concatenate([pcm, np.zeros(silence, np.float32)]))
    while peer.is_ready(stream):
        peer.decode_stream(stream)
    return stream


def tokens_and_text(peer: Any, bundle: Bundle, pcm: Pcm) -> tuple[list[str], str]:
    """Tokens and text of sherpa-onnx, streaming or offline as the bundle is."""
    if bundle.config.chunk:
        stream = streamed(peer, bundle, pcm)
        tokens, text = peer.tokens(stream), peer.get_result(stream)
    else:
        stream = peer.create_stream()
        stream.accept_waveform(SAMPLE_RATE_HZ, pcm)
        peer.decode_stream(stream)
        tokens, text = stream.result.tokens, stream.result.text
    return [_ours(token) for token in tokens], " ".join(text.split())


def recorded_queries() -> list[Pcm]:
    """The recordings of the demo."""
    soundfile = pytest.importorskip("soundfile")
    read = [soundfile.read(file, dtype="float32") for file in sorted(QUERIES.glob("*.flac"))]
    return [pcm for pcm, rate_hz in read if rate_hz == SAMPLE_RATE_HZ and pcm.ndim == 1]


def _ours(token: Any) -> str:
    return str(token).replace(" ", SPACE)
