from collections.abc import Callable

import numpy as np
import pytest
import torch

from voxloop_proto.audio import Pcm, level_dbfs
from voxloop_training.augmentation import AugmentationConfig, Augmenter
from voxloop_training.augmentation.codec import mu_law, narrow_band, opus, wire
from voxloop_training.augmentation.level import Level, LevelConfig
from voxloop_training.augmentation.noise import Noise, NoiseConfig
from voxloop_training.augmentation.room import Room, RoomConfig
from voxloop_training.augmentation.silence import Silence, SilenceConfig
from voxloop_training.augmentation.spec_augment import SpecAugmentConfig, spec_augment
from voxloop_training.augmentation.speed import Speed, SpeedConfig


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def clip(rng: np.random.Generator) -> Pcm:
    return (0.1 * rng.standard_normal(16_000)).astype(np.float32)


def no_clips(clip_id: str) -> Pcm:
    raise KeyError(clip_id)


def test_speed_changes_the_length_by_its_percentage(clip: Pcm, rng: np.random.Generator) -> None:
    assert len(Speed(SpeedConfig(percents=(80,)))(clip, rng)) == 20_000
    assert len(Speed(SpeedConfig(percents=(100,)))(clip, rng)) == 16_000
    assert len(Speed(SpeedConfig(percents=(125,)))(clip, rng)) == 12_800


def test_silence_is_never_longer_than_allowed(clip: Pcm, rng: np.random.Generator) -> None:
    silence = Silence(SilenceConfig(longest_ms=600))
    lengths = [len(silence(clip, rng)) - len(clip) for _ in range(50)]
    assert min(lengths) >= 0
    assert 16_000 * 0.6 < max(lengths) <= 2 * 16_000 * 0.6


def test_room_and_noise_keep_the_length(clip: Pcm, rng: np.random.Generator) -> None:
    assert len(Room(RoomConfig(probability=1.0))(clip, rng)) == len(clip)
    assert len(Noise(NoiseConfig(probability=1.0), [], no_clips)(clip, rng)) == len(clip)


def test_noise_is_as_far_below_the_speech_as_asked(clip: Pcm, rng: np.random.Generator) -> None:
    noise = Noise(NoiseConfig(probability=1.0, snr_db=(10.0, 10.0), synthetic_ratio=0.0), ["a"], lambda _: clip[::-1])
    added = noise(clip, rng) - clip
    assert level_dbfs(clip) - level_dbfs(added) == pytest.approx(10.0, abs=0.1)


def test_a_silent_noise_clip_changes_nothing(clip: Pcm, rng: np.random.Generator) -> None:
    noise = Noise(NoiseConfig(probability=1.0, synthetic_ratio=0.0), ["a"], lambda _: np.zeros(50, np.float32))
    np.testing.assert_array_equal(noise(clip, rng), clip)


def test_level_lands_on_its_target_and_never_passes_full_scale(clip: Pcm, rng: np.random.Generator) -> None:
    assert level_dbfs(Level(LevelConfig(spread_db=0.0))(clip, rng)) == pytest.approx(-23.0, abs=0.1)
    assert np.abs(Level(LevelConfig(target_dbfs=0.0, spread_db=0.0))(clip, rng)).max() <= 1.0


@pytest.mark.parametrize(
    "codec", [narrow_band, mu_law, lambda samples: opus(samples, 0.9), lambda samples: wire(samples, 27_000)]
)
def test_codecs_keep_the_length(clip: Pcm, codec: Callable[[Pcm], Pcm]) -> None:
    coded = codec(clip)
    assert coded.shape == clip.shape
    assert coded.dtype == np.float32


def test_the_wires_codec_keeps_samples_in_their_place() -> None:
    tone = np.sin(np.arange(40_000) * 2.0 * np.pi * 440.0 / 16_000.0).astype(np.float32) / 4.0
    np.testing.assert_allclose(wire(tone, 32_000)[800:-800], tone[800:-800], atol=0.05)


def test_the_whole_chain_is_repeatable_and_within_limits(clip: Pcm) -> None:
    chain = Augmenter(AugmentationConfig(), ["a"], lambda _: clip[::-1])
    for seed in range(20):
        first, again = (chain(clip, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert first.dtype == np.float32
        assert np.isfinite(first).all()
        assert np.abs(first).max() <= 1.0


def test_spec_augment_hides_whole_stripes_and_no_more_than_asked() -> None:
    features = torch.randn(4, 200, 80)
    config = SpecAugmentConfig(bands=1, band_bins=10, gaps_per_s=0.5, gap_frames=20)
    hidden = spec_augment(features, config, torch.Generator().manual_seed(1)) != features
    assert hidden.any()
    assert int(hidden.all(dim=1).sum(dim=1).max()) <= 10
    assert int(hidden.all(dim=2).sum(dim=1).max()) <= 20
