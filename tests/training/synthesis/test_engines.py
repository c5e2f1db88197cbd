"""Debian's engines themselves: espeak-ng always, the others where they are installed."""

import shutil

import numpy as np
import pytest

from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import ConfigError, DataError
from voxloop_training.synthesis.engines import Manner, require, speak
from voxloop_training.synthesis.voices import VOICES, Engine, Voice


@pytest.mark.parametrize("name", ["espeak-ng/en-us+m3", "festival/kal_diphone", "flite/slt"])
def test_each_engine_speaks(name: str) -> None:
    voice = VOICES[name]
    if shutil.which(voice.engine) is None:
        assert voice.engine != "espeak-ng", "scripts/setup dev installs it"
        pytest.skip(f"no {voice.engine} here")
    brief, long = speak(voice, ["yes", "what is the weather in london tomorrow"], Manner())
    assert 0.1 < len(brief) / SAMPLE_RATE_HZ < 1.0
    assert 1.0 < len(long) / SAMPLE_RATE_HZ < 5.0
    assert 0.01 < np.abs(long).max() <= 1.0


def test_pace_and_size_do_what_they_say() -> None:
    voice = VOICES["espeak-ng/en-us+m3"]
    said = ["what is the weather in london tomorrow"]
    (plain,), (fast,), (small,) = (speak(voice, said, manner) for manner in (Manner(), Manner(1.3), Manner(1.0, 1.2)))
    assert len(fast) < 0.9 * len(plain)
    assert 0.85 < len(small) / len(plain) < 1.15
    assert centroid_hz(small) > 1.08 * centroid_hz(plain)


def centroid_hz(pcm: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(pcm)) ** 2
    return float((power * np.fft.rfftfreq(len(pcm), 1 / SAMPLE_RATE_HZ)).sum() / power.sum())


def test_a_missing_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="apt-get install flite"):
        require(VOICES["flite/slt"])


@pytest.mark.parametrize("engine", ["espeak-ng", "festival", "flite"])
def test_a_missing_voice_is_not_spoken_by_another(engine: Engine) -> None:
    if shutil.which(engine) is None:
        pytest.skip(f"no {engine} here")
    for voice in VOICES.values():
        if voice.engine == engine:
            require(voice)
    with pytest.raises(ConfigError, match=rf"{engine} has no voice nobody here.*apt-get install {engine}"):
        require(Voice(engine, "en-us+nobody" if engine == "espeak-ng" else "nobody", "nobody", "none"))


@pytest.mark.parametrize("text", ['say "(quit)"', "--help", "Capital", "number 5", ""])
def test_what_an_engine_could_take_for_an_order_is_not_spoken(text: str) -> None:
    with pytest.raises(DataError, match="cannot speak"):
        speak(VOICES["espeak-ng/en-us+m3"], ["fine", text], Manner())
