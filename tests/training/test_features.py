from pathlib import Path

import numpy as np
import pytest
import torch

from voxloop_cloud.feature_config import FeatureConfig
from voxloop_cloud.features import FeatureStream
from voxloop_proto.audio import Pcm
from voxloop_training.audio_cache import read_pcm
from voxloop_training.features import Fbank, frame_count
from voxloop_training.manifest import read_rows


def served(samples: Pcm) -> np.ndarray:
    """The server's features of the same samples, as many frames as need no padding."""
    stream = FeatureStream(FeatureConfig())
    stream.push(samples)
    return stream.window(0, stream.frames_ready)


@pytest.mark.parametrize("length", [1600, 16_000, 23_457])
def test_features_equal_those_of_the_server(length: int) -> None:
    samples = (0.1 * np.random.default_rng(length).standard_normal(length)).astype(np.float32)
    expected = served(samples)
    found = Fbank()(torch.from_numpy(samples)[None])[0].numpy()
    assert len(found) == frame_count(length)
    np.testing.assert_allclose(found[: len(expected)], expected, atol=2e-3, rtol=2e-4)


def test_features_of_speech_equal_those_of_the_server(recordings: Path) -> None:
    """Near the floor of the energies both round; hence the relative part."""
    for row in read_rows(recordings / "speechocean762/dev.jsonl")[:5]:
        samples = read_pcm(recordings / row.audio).astype(np.float32) / np.float32(32768)
        expected = served(samples)
        found = Fbank()(torch.from_numpy(samples)[None])[0].numpy()
        np.testing.assert_allclose(found[: len(expected)], expected, atol=2e-3, rtol=2e-4)


def test_digital_silence_has_finite_features() -> None:
    assert torch.isfinite(Fbank()(torch.zeros(1, 1600))).all()


def test_too_short_a_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        Fbank()(torch.zeros(1, 100))
