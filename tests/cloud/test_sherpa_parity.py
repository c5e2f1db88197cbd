"""The same weights in sherpa-onnx give the same tokens."""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cloud.sherpa_peer import recorded_queries, streaming_tokens

from voxloop_cloud.bundle import MODEL_FILE, TOKENS_FILE, Bundle
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.sherpa_layout import write_zipformer_layout
from voxloop_cloud.testing import babble, tiny_bundle
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.errors import ConfigError

SAME_BUT_FOR_TIES = 0.97

sherpa: Any = pytest.importorskip("sherpa_onnx")


def peer_of(bundle: Bundle, folder: Path) -> Any:
    """sherpa-onnx with the bundle's model: as it is if its features are NeMo's, else in a Zipformer's layout."""
    tokens = str(bundle.path / TOKENS_FILE)
    if bundle.config.features.kind == "nemo-fbank":
        return sherpa.OnlineRecognizer.from_nemo_ctc(model=str(bundle.path / MODEL_FILE), tokens=tokens, num_threads=1)
    write_zipformer_layout(bundle, folder / "zipformer.onnx")
    return sherpa.OnlineRecognizer.from_zipformer2_ctc(
        model=str(folder / "zipformer.onnx"), tokens=tokens, num_threads=1
    )


def tokens_of_both(bundle: Bundle, folder: Path, sounds: list[Pcm]) -> tuple[list[list[str]], list[list[str]]]:
    """Our tokens and sherpa-onnx's, for each sound; greedy, also of a bundle whose phones go through a graph."""
    greedy = replace(bundle, config=bundle.config.model_copy(update={"tokens": "characters"}))
    ours, peer = Recognizer(greedy), peer_of(bundle, folder)
    return (
        [[bundle.tokens[token] for token in transcribe(ours, pcm).tokens] for pcm in sounds],
        [streaming_tokens(peer, bundle, pcm) for pcm in sounds],
    )


def tokens_alone(peer: Any, pcm: Pcm) -> list[str]:
    """What sherpa-onnx makes of a sound and a second of silence, one stream in each step."""
    stream = peer.create_stream()
    stream.accept_waveform(SAMPLE_RATE_HZ, np.concatenate([pcm, np.zeros(16_000, np.float32)]))
    while peer.is_ready(stream):
        peer.decode_stream(stream)
    tokens: list[str] = peer.tokens(stream)
    return tokens


@pytest.mark.parametrize("features", ["kaldi-fbank", "nemo-fbank"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sherpa_onnx_gives_the_same_tokens(tmp_path: Path, features: Any, seed: int) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", seed, features=features)
    ours, peers = tokens_of_both(bundle, tmp_path, [babble(duration_ms, seed) for duration_ms in (1270, 1290, 4000)])
    assert ours == peers


def test_sherpa_onnx_steps_many_streams_at_once(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", features="kaldi-fbank")
    peer, sounds = peer_of(bundle, tmp_path), [babble(2000, seed) for seed in range(3)]
    streams = [peer.create_stream() for _ in sounds]
    for stream, pcm in zip(streams, sounds, strict=True):
        stream.accept_waveform(SAMPLE_RATE_HZ, np.concatenate([pcm, np.zeros(16_000, np.float32)]))
    while all(peer.is_ready(stream) for stream in streams):
        peer.decode_streams(streams)
    together = [peer.tokens(stream) for stream in streams]
    assert together == [tokens_alone(peer, pcm) for pcm in sounds]
    assert all(together)


def test_sherpa_onnx_gives_the_same_tokens_for_a_real_bundle(real_bundle: Bundle, tmp_path: Path) -> None:
    """But for ties: activations that are rounded to 8 bits make log-probabilities differ by 0.1 between two builds of
    onnxruntime, or for features that differ by 1e-6."""
    ours, peers = tokens_of_both(real_bundle, tmp_path, recorded_queries())
    if real_bundle.config.model.quantization == "none":
        assert ours == peers
    else:
        alike = [
            difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
            for one, other in zip(ours, peers, strict=True)
        ]
        assert sum(alike) / len(alike) > SAME_BUT_FOR_TIES


def test_a_bundle_with_nemos_features_needs_no_other_layout(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", features="nemo-fbank")
    with pytest.raises(ConfigError, match="use from_nemo_ctc"):
        write_zipformer_layout(bundle, tmp_path / "zipformer.onnx")
