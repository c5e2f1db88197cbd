import numpy as np
import pytest
import soundfile
from tests.e2e.conftest import QUERIES

from voxloop_proto.audio import Pcm
from voxloop_proto.events import Chunk
from voxloop_training.evaluation.clip_measures import MAX_SNR_DB, measure_sound

SPEECH = "timer.flac"


@pytest.fixture
def speech() -> Pcm:
    pcm: Pcm = soundfile.read(QUERIES / SPEECH, dtype="float32")[0]
    return np.concatenate((np.zeros(8_000, np.float32), pcm, np.zeros(8_000, np.float32)))


def chunks(pcm: Pcm) -> list[Chunk]:
    return [Chunk(start, pcm[start : start + 1600]) for start in range(0, len(pcm), 1600)]


@pytest.mark.parametrize("snr_db", [10.0, 20.0, 30.0, 40.0])
def test_the_snr_of_speech_in_steady_noise_is_found(speech: Pcm, snr_db: float) -> None:
    frames = speech[: len(speech) // 480 * 480].reshape(-1, 480)
    powers = np.square(frames).mean(axis=1)
    speech_power = powers[powers > powers.max() / 1000].mean()
    noise = np.random.default_rng(1).standard_normal(len(speech)) * np.sqrt(speech_power / 10 ** (snr_db / 10))
    found = measure_sound(chunks((speech + noise).astype(np.float32)))
    assert found.snr_db == pytest.approx(snr_db, abs=3.0)
    assert found.audio_s == pytest.approx(len(speech) / 16_000)
    assert 0.5 < found.voiced_s < found.audio_s


def test_speech_between_digital_silence_has_the_highest_snr(speech: Pcm) -> None:
    assert measure_sound(chunks(speech)).snr_db == MAX_SNR_DB


def test_a_clip_without_speech_has_no_snr() -> None:
    found = measure_sound(chunks(np.zeros(32_000, np.float32)))
    assert found.voiced_s == 0.0
    assert found.snr_db is None


def test_a_clip_of_no_samples_is_no_error() -> None:
    assert measure_sound([]).audio_s == 0.0
