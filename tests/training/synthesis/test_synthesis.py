"""Synthetic speech with the engines themselves: espeak-ng always, the others where they are installed."""

import itertools
import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.errors import ConfigError
from voxloop_training.corpus import training_cuts
from voxloop_training.grammar.text import is_held_out
from voxloop_training.synthesis.engines import Manner, require, speak
from voxloop_training.synthesis.recipe import SynthesisRecipe, VoiceShare, load_synthesis
from voxloop_training.synthesis.speaking import batches, synthesize
from voxloop_training.synthesis.texts import sentences
from voxloop_training.synthesis.voices import VOICES

DEFAULT = Path(__file__).parents[3] / "training/recipes/synthetic.toml"
SENTENCES = [f"play song number {word} please" for word in "abcdefghijklmnopqrstuvwxyz"]
SENTENCES += [f"turn on light {first} {second}" for first, second in itertools.product("abcdefghij", repeat=2)]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    for kind in ("queries", "everyday", "books"):
        (tmp_path / f"{kind}.txt.xz").write_bytes(lzma.compress("".join(f"{line}\n" for line in SENTENCES).encode()))
    return tmp_path


def recipe(*shares: VoiceShare) -> SynthesisRecipe:
    return SynthesisRecipe(seed=3, voices=shares, texts={"queries": 1.0})


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
        require("flite")


def test_the_set_is_made_again_the_same_and_can_be_trained_on(text: Path, tmp_path: Path) -> None:
    shares = (
        VoiceShare(voice="espeak-ng/en-us+m3", minutes=0.3),
        VoiceShare(voice="espeak-ng/en-us+f5", minutes=0.1, split="test"),
    )
    heard: list[float] = []
    once, again = tmp_path / "once/synthetic", tmp_path / "again/synthetic"
    counts = synthesize(recipe(*shares), text, once, 1, heard.append)
    synthesize(recipe(*shares), text, again, 1, lambda _: None)
    for split in ("train", "test"):
        assert (once / f"{split}.jsonl").read_bytes() == (again / f"{split}.jsonl").read_bytes()
    rows = [json.loads(line) for line in (once / "train.jsonl").read_text().splitlines()]
    assert len(rows) == counts["train"] > 3
    assert sum(heard) >= 60 * 0.4
    for row in rows:
        pcm, rate_hz = soundfile.read(once.parent / row["audio"])
        assert (rate_hz, round(len(pcm) / rate_hz, 4)) == (SAMPLE_RATE_HZ, row["duration_s"])
        assert not is_held_out(row["text"])
        assert np.array_equal(pcm, soundfile.read(again.parent / row["audio"])[0])
    assert len(list(training_cuts(once / "train.jsonl"))) == len(rows)


def test_spoken_batches_are_not_spoken_again(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = VoiceShare(voice="espeak-ng/en-us+m3", minutes=0.1)
    synthesize(recipe(share), text, tmp_path / "out", 1, lambda _: None)
    monkeypatch.setattr("voxloop_training.synthesis.speaking.speak", None)
    assert synthesize(recipe(share), text, tmp_path / "out", 1, lambda _: None)["train"] > 0


def test_held_out_sentences_are_for_dev_and_test_only(text: Path) -> None:
    trained = set(itertools.islice(sentences(text, "queries", held_out=False, seed=1), 200))
    measured = set(itertools.islice(sentences(text, "queries", held_out=True, seed=1), 20))
    assert measured
    assert not trained & measured


def test_another_seed_says_other_things(text: Path) -> None:
    share = VoiceShare(voice="espeak-ng/en-us+m3", minutes=1)
    first, other = (
        next(batches(SynthesisRecipe(seed=seed, voices=(share,), texts={"queries": 1.0}), text, share))
        for seed in (1, 2)
    )
    assert first.texts != other.texts
    assert first.manner != other.manner


def test_a_person_is_in_one_split(tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.toml"
    faulty.write_text(
        '[[voices]]\nvoice = "festival/kal_diphone"\nminutes = 1\n'
        '[[voices]]\nvoice = "flite/kal16"\nminutes = 1\nsplit = "test"\n'
    )
    with pytest.raises(ConfigError, match="kal, who is in train already"):
        load_synthesis(faulty)


def test_an_unknown_voice_is_named(tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.toml"
    faulty.write_text('[[voices]]\nvoice = "flite/nobody"\nminutes = 1\n')
    with pytest.raises(ConfigError, match=r"voices\.0\.voice.*there are espeak-ng/en-us\+m1"):
        load_synthesis(faulty)


def test_the_default_recipe_keeps_the_voices_of_the_demo_for_the_test() -> None:
    splits = {share.voice: share.split for share in load_synthesis(DEFAULT).voices}
    assert {splits[f"flite/{name}"] for name in ("slt", "rms", "awb")} == {"test"}
