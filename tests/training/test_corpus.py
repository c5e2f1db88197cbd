from pathlib import Path

import pytest

from voxloop_proto.errors import DataError
from voxloop_training.audio_cache import fill, open_cache, read_pcm
from voxloop_training.corpus import DEV_SPEAKERS, dev_cuts, is_training_noise, noise_cuts, training_cuts
from voxloop_training.manifest import Row, read_rows


def test_a_manifest_becomes_cuts_with_text_and_tags(corpus: Path) -> None:
    cuts = training_cuts(corpus / "tones/train.jsonl")
    cut = cuts[0]
    assert len(cuts) == 16
    assert cut.supervisions[0].text == "up"
    assert cut.supervisions[0].custom == {"set": "tones", "split": "train", "pitch": "low"}
    assert cut.duration == pytest.approx(0.5)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_only_train_splits_are_trained_on(corpus: Path, split: str) -> None:
    with pytest.raises(DataError, match="training takes only 'train'"):
        training_cuts(corpus / f"tones/{split}.jsonl")


def test_no_model_is_chosen_by_a_test_split(corpus: Path) -> None:
    with pytest.raises(DataError, match="neither dev rows"):
        dev_cuts(corpus / "tones/test.jsonl")


def test_a_row_that_does_not_fit_is_named_by_file_and_line(tmp_path: Path) -> None:
    manifest = tmp_path / "bad.jsonl"
    manifest.write_text('{"id": "a"}\n')
    with pytest.raises(DataError, match=r"bad.jsonl:1"):
        read_rows(manifest)


def test_real_splits_share_no_speaker(recordings: Path) -> None:
    for manifest in sorted(recordings.glob("*/train.jsonl")):
        learned = {cut.supervisions[0].speaker for cut in training_cuts(manifest)}
        assert not learned & DEV_SPEAKERS
        if manifest.parent.name == "free-spoken-digits":
            continue  # its makers split by take; its six speakers are in both, as the data's README says
        held_out = [manifest.with_name(f"{split}.jsonl") for split in ("dev", "test")]
        others = {row.speaker for other in held_out if other.exists() for row in read_rows(other)}
        assert not learned & others


def test_some_noise_stays_unseen(recordings: Path) -> None:
    rows = read_rows(recordings / "esc10-noise/noise.jsonl")
    learned = noise_cuts(recordings / "esc10-noise/noise.jsonl")
    assert 0.6 < len(learned) / len(rows) < 0.8
    background = read_rows(recordings / "background-noise/noise.jsonl")
    assert not any(is_training_noise(row) for row in background)


def test_the_audio_cache_gives_back_what_was_recorded(corpus: Path, tmp_path: Path) -> None:
    cuts = training_cuts(corpus / "tones/train.jsonl")
    cache = open_cache(cuts, tmp_path / "cache")
    expected = read_pcm(corpus / "tones/train/3.wav") / 32768
    assert cache.load("tones-train-3") == pytest.approx(expected)
    with pytest.raises(DataError, match="not in the audio cache"):
        cache.load("unknown")


def test_a_broken_off_fill_is_not_taken_for_a_cache(corpus: Path, tmp_path: Path) -> None:
    cuts = training_cuts(corpus / "tones/train.jsonl")
    (corpus / "tones/train/9.wav").write_bytes(b"not audio")
    with pytest.raises(DataError, match="cannot read"):
        fill(cuts, tmp_path / "cache")
    assert not (tmp_path / "cache/index.json").exists()


def test_the_held_out_share_of_noise_does_not_depend_on_other_clips() -> None:
    row = Row(id="x", audio="x", duration_s=1, speaker="s", text="", set="esc10-noise", split="noise")
    assert is_training_noise(row) == is_training_noise(row.model_copy(update={"duration_s": 2.0}))
