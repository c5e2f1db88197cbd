"""Features: equal to Kaldi's, and the same however the sound was cut."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloop_cloud.features import FeatureConfig, FeatureStream
from voxloop_cloud.testing import babble
from voxloop_proto.audio import Pcm
from voxloop_proto.testing import cut

CONFIG = FeatureConfig()
TOLERANCE = 2e-3


def all_features(pieces: list[Pcm], config: FeatureConfig = CONFIG) -> npt.NDArray[np.float32]:
    stream = FeatureStream(config)
    for piece in pieces:
        stream.push(piece)
    return stream.window(0, stream.frames_ready)


@pytest.mark.parametrize("loudness", [1.0, 0.05, 0.001])
def test_features_equal_torchaudios_kaldi_fbank(loudness: float) -> None:
    torch = pytest.importorskip("torch")
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    pcm = babble(2000, seed=3) * np.float32(loudness)
    expected = kaldi.fbank(
        torch.from_numpy(pcm[None]),
        num_mel_bins=80,
        low_freq=20,
        high_freq=7600,
        snip_edges=False,
        window_type="povey",
        preemphasis_coefficient=0.97,
        dither=0.0,
        energy_floor=0.0,
    ).numpy()
    found = all_features([pcm])
    # Kaldi mirrors the sound at its end; a stream never looks past it, and leaves those frames to the padding.
    assert expected.shape[0] == CONFIG.frames_in(pcm.size)
    assert 0 <= expected.shape[0] - found.shape[0] <= 2
    assert np.abs(expected[: len(found)] - found).max() < TOLERANCE


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(0, 2000), min_size=1, max_size=8).filter(any))
def test_features_do_not_depend_on_how_the_sound_was_cut(lengths: list[int]) -> None:
    pcm = babble(1000, seed=1)
    pieces = [chunk.pcm for chunk in cut(pcm, lengths)]
    np.testing.assert_array_equal(all_features(pieces), all_features([pcm]))


@settings(deadline=None, max_examples=50)
@given(samples=st.integers(0, 3000), frames=st.integers(0, 40))
def test_finishing_makes_exactly_the_frames_asked_for_unless_more_are_there(samples: int, frames: int) -> None:
    stream = FeatureStream(CONFIG)
    stream.push(np.ones(samples, np.float32) * 0.1)
    ready = stream.frames_ready
    stream.finish(frames)
    assert stream.frames_ready == max(ready, frames)
    assert stream.samples == samples


def test_dropping_frames_leaves_the_others_in_place() -> None:
    whole = all_features([babble(1000)])
    stream = FeatureStream(CONFIG)
    stream.push(babble(1000))
    stream.drop_before(40)
    np.testing.assert_array_equal(stream.window(40, 10), whole[40:50])
    stream.drop_before(55)
    np.testing.assert_array_equal(stream.window(60, 5), whole[60:65])


def test_nemo_features_differ_from_kaldis() -> None:
    nemo = FeatureConfig(kind="nemo-fbank", low_hz=0, high_hz=8000, window="hann")
    pcm = babble(300)
    assert np.abs(all_features([pcm], nemo) - all_features([pcm])).max() > 1


def test_a_band_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="low_hz must be the lower one"):
        FeatureConfig(low_hz=4000, high_hz=300)
