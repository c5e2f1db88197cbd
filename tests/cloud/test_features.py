"""Features: equal to Kaldi's, and the same however the sound was cut."""

import weakref

import kaldi_native_fbank as knf
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cloud.sherpa_peer import recorded_queries

from voxloop_cloud.feature_config import FeatureConfig
from voxloop_cloud.features import FeatureStream
from voxloop_cloud.filterbank import NEMO_LOG_GUARD
from voxloop_cloud.testing import babble
from voxloop_proto.audio import Pcm
from voxloop_proto.testing import cut

CONFIG = FeatureConfig()
TOLERANCE = 2e-3
MEAN_TOLERANCE = 1e-4


def all_features(pieces: list[Pcm], config: FeatureConfig = CONFIG) -> npt.NDArray[np.float32]:
    stream = FeatureStream(config)
    for piece in pieces:
        stream.push(piece)
    return stream.window(0, stream.frames_ready)


def kaldis_features(pcm: Pcm, config: FeatureConfig, *, padded: bool = False) -> npt.NDArray[np.float32]:
    """What kaldi-native-fbank makes of it frame by frame; padded: to its last frame, the sound's end mirrored."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = config.sample_rate_hz
    options.frame_opts.frame_length_ms = config.frame_length_ms
    options.frame_opts.frame_shift_ms = config.frame_shift_ms
    options.frame_opts.window_type = config.window
    options.frame_opts.preemph_coeff = config.preemphasis
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.frame_opts.remove_dc_offset = config.kind == "kaldi-fbank"
    options.use_log_fbank = config.log_guard == "floor"
    options.mel_opts.num_bins = config.mel_bins
    options.mel_opts.is_librosa = config.kind == "nemo-fbank"
    options.mel_opts.low_freq = config.low_hz
    options.mel_opts.high_freq = config.high_hz
    fbank = knf.OnlineFbank(options)
    fbank.accept_waveform(config.sample_rate_hz, pcm.tolist())
    if padded:
        fbank.input_finished()
    frames = [fbank.get_frame(index) for index in range(fbank.num_frames_ready)]
    features = np.array(frames, np.float32).reshape(-1, config.mel_bins)
    return features if config.log_guard == "floor" else np.log(features + NEMO_LOG_GUARD)


def assert_equal_to_kaldis(pcm: Pcm, config: FeatureConfig) -> None:
    difference = np.abs(all_features([pcm], config) - kaldis_features(pcm, config))
    assert difference.max() < TOLERANCE
    assert difference.mean() < MEAN_TOLERANCE


OPTIONS = [
    FeatureConfig(),
    FeatureConfig(kind="nemo-fbank", low_hz=0, high_hz=8000, window="hann"),
    FeatureConfig(kind="nemo-fbank", low_hz=0, high_hz=8000, window="hanning", log_guard="add"),
    FeatureConfig(kind="nemo-fbank", window="hamming", mel_bins=128),
    FeatureConfig(window="hamming", log_guard="add", mel_bins=23),
    FeatureConfig(window="hann", preemphasis=0.0),
    FeatureConfig(window="hanning", low_hz=300, high_hz=3400, mel_bins=40),
    FeatureConfig(frame_length_ms=32, frame_shift_ms=8),
    FeatureConfig(frame_length_ms=22.71, frame_shift_ms=10.07),
    FeatureConfig(frame_length_ms=5, frame_shift_ms=50, mel_bins=20),
    FeatureConfig(frame_length_ms=100, frame_shift_ms=5),
]
"""Each option, and frames that overlap much, not at all, and end within a sample."""


@pytest.mark.parametrize("config", OPTIONS, ids=str)
@pytest.mark.parametrize("loudest", [1.0, 0.05, 1e-5])
def test_features_equal_kaldi_native_fbanks_with_each_option(config: FeatureConfig, loudest: float) -> None:
    pcm = babble(1500, seed=4)
    assert_equal_to_kaldis(pcm * np.float32(loudest / np.abs(pcm).max()), config)


def test_features_of_speech_equal_kaldi_native_fbanks() -> None:
    queries = recorded_queries()
    assert queries
    for pcm in queries:
        assert_equal_to_kaldis(pcm, CONFIG)


@pytest.mark.parametrize("config", OPTIONS, ids=str)
def test_digital_silence_is_as_kaldi_native_fbanks(config: FeatureConfig) -> None:
    pcm = np.zeros(8000, np.float32)
    np.testing.assert_allclose(all_features([pcm], config), kaldis_features(pcm, config), rtol=1e-6)


@settings(deadline=None, max_examples=100)
@given(samples=st.integers(0, 3000), config=st.sampled_from(OPTIONS))
def test_a_clip_has_kaldis_frames_with_both_edges_mirrored(samples: int, config: FeatureConfig) -> None:
    pcm = babble(200, seed=5)[:samples]
    expected = kaldis_features(pcm, config, padded=True)
    stream = FeatureStream(config)
    stream.push(pcm)
    stream.finish(None)
    assert stream.frames_ready == len(expected) == config.frames_in(pcm.size)
    if len(expected):
        np.testing.assert_allclose(stream.window(0, len(expected)), expected, atol=TOLERANCE)


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


@pytest.mark.parametrize("config", OPTIONS, ids=str)
def test_windows_of_a_stream_equal_the_whole(config: FeatureConfig) -> None:
    pcm = babble(2000, seed=6)
    whole = all_features([pcm], config)
    stream = FeatureStream(config)
    start = 0
    for piece in np.split(pcm, range(100, pcm.size, 333)):
        stream.push(piece)
        while stream.frames_ready >= start + 11:
            stream.drop_before(start)
            np.testing.assert_allclose(stream.window(start, 11), whole[start : start + 11], atol=1e-5)
            start += 8
    assert start > len(whole) - 11


def test_dropped_sound_is_freed() -> None:
    stream = FeatureStream(CONFIG)
    first = np.zeros(16_000, np.float32)
    freed = weakref.ref(first)
    stream.push(first)
    del first
    stream.drop_before(90)
    stream.push(np.zeros(16_000, np.float32))
    assert stream.window(90, 35).shape == (35, 80)
    assert freed() is None


def test_nemo_features_differ_from_kaldis() -> None:
    nemo = FeatureConfig(kind="nemo-fbank", low_hz=0, high_hz=8000, window="hann")
    pcm = babble(300)
    assert np.abs(all_features([pcm], nemo) - all_features([pcm])).max() > 1


def test_a_band_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="low_hz must be the lower one"):
        FeatureConfig(low_hz=4000, high_hz=300)
