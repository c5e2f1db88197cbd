"""Whole sets, spoken by espeak-ng."""

import contextlib
import hashlib
import itertools
import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.e2e.conftest import voxloop

from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_training.corpus import training_cuts
from voxloop_training.grammar.text import is_held_out
from voxloop_training.synthesis.recipe import SynthesisRecipe, VoiceShare
from voxloop_training.synthesis.speaking import batches, synthesize
from voxloop_training.synthesis.voices import VOICES


def recipe(*shares: VoiceShare) -> SynthesisRecipe:
    return SynthesisRecipe(seed=3, voices=shares, texts={"queries": 1.0})


def test_the_set_is_made_again_the_same_and_can_be_trained_on(text: Path, tmp_path: Path) -> None:
    shares = (
        VoiceShare(voice="espeak-ng/en-us+m3", minutes=0.3),
        VoiceShare(voice="espeak-ng/en-us+f5", minutes=0.1, split="test"),
    )
    heard: list[float] = []
    once, again = tmp_path / "once/synthetic", tmp_path / "again/synthetic"
    manifests = synthesize(recipe(*shares), text, once, 1, heard.append)
    synthesize(recipe(*shares), text, again, 1, lambda _: None)
    for split in ("train", "test"):
        written = (once / f"{split}.jsonl").read_bytes()
        assert written == (again / f"{split}.jsonl").read_bytes()
        assert manifests[split].sha256 == hashlib.sha256(written).hexdigest()
    rows = [json.loads(line) for line in (once / "train.jsonl").read_text().splitlines()]
    assert len(rows) == len(manifests["train"].rows) > 3
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
    assert len(synthesize(recipe(share), text, tmp_path / "out", 1, lambda _: None)["train"].rows) > 0


def test_another_recipe_in_the_same_folder_is_spoken_anew(text: Path, tmp_path: Path) -> None:
    plain = recipe(VoiceShare(voice="espeak-ng/en-us+m3", minutes=0.1))
    faster = plain.model_copy(update={"pace_ratio": (1.3, 1.4)})
    synthesize(plain, text, tmp_path / "used/synthetic", 1, lambda _: None)
    synthesize(faster, text, tmp_path / "used/synthetic", 1, lambda _: None)
    synthesize(faster, text, tmp_path / "fresh/synthetic", 1, lambda _: None)
    used, fresh = (tmp_path / folder / "synthetic" for folder in ("used", "fresh"))
    assert (used / "train.jsonl").read_bytes() == (fresh / "train.jsonl").read_bytes()
    for row in map(json.loads, (fresh / "train.jsonl").read_text().splitlines()):
        assert (used.parent / row["audio"]).read_bytes() == (fresh.parent / row["audio"]).read_bytes()


def test_ctrl_c_ends_it_after_the_batch_in_hand_and_it_goes_on_from_there(text: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "recipe.toml", tmp_path / "synthetic"
    file.write_text('[[voices]]\nvoice = "espeak-ng/en-us+m3"\nminutes = 600\n')
    command = voxloop("synthesize", file, out, "--text", text)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while running.poll() is None and not list(out.glob("train/*.batch.json")):
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(timeout=0.05)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    assert not (out / "train.jsonl").exists()
    assert not list(out.glob("train/*.partial"))
    heard = sorted(path.stat().st_mtime_ns for path in out.glob("train/*-0000-*.flac"))
    synthesize(
        SynthesisRecipe(voices=(VoiceShare(voice="espeak-ng/en-us+m3", minutes=0.1),)), text, out, 1, lambda _: None
    )
    assert heard == sorted(path.stat().st_mtime_ns for path in out.glob("train/*-0000-*.flac"))


def test_the_readme_has_each_voices_licence_and_each_manifests_checksum(text: Path, tmp_path: Path) -> None:
    shares = (
        VoiceShare(voice="espeak-ng/en-us+m3", minutes=0.05),
        VoiceShare(voice="espeak-ng/en-us+f5", minutes=0.05, split="dev"),
    )
    synthesize(recipe(*shares), text, tmp_path / "out", 2, lambda _: None)
    page = (tmp_path / "out/README.md").read_text()
    for share in shares:
        digest = hashlib.sha256((tmp_path / f"out/{share.split}.jsonl").read_bytes()).hexdigest()
        assert f"| {share.split}.jsonl |" in page
        assert digest in page
        assert f"| {share.voice} | {share.split} | 0.05 | {VOICES[share.voice].licence} |" in page


def test_voices_that_are_measured_share_no_query(text: Path) -> None:
    shares = [
        VoiceShare(voice="espeak-ng/en-us+f5", minutes=1, split="dev"),
        *(VoiceShare(voice=f"flite/{name}", minutes=1, split="test") for name in ("slt", "rms", "awb")),
        VoiceShare(voice="espeak-ng/en-us+m3", minutes=1),
    ]
    said = [set(next(batches(recipe(*shares), text, share)).texts) for share in shares]
    assert all(said)
    for one, other in itertools.combinations(said, 2):
        assert not one & other


def test_another_seed_says_other_things(text: Path) -> None:
    share = VoiceShare(voice="espeak-ng/en-us+m3", minutes=1)
    first, other = (
        next(batches(SynthesisRecipe(seed=seed, voices=(share,), texts={"queries": 1.0}), text, share))
        for seed in (1, 2)
    )
    assert first.texts != other.texts
    assert first.manner != other.manner
