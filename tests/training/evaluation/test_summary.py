import pytest
from tests.training.evaluation.clip_factory import clip, heard

from voxloop_edge.manifest import Clip
from voxloop_training.evaluation.bootstrap import Bootstrap
from voxloop_training.evaluation.clip_measures import ClipMeasures
from voxloop_training.evaluation.clip_set import ClipSet
from voxloop_training.evaluation.figures import SetFigures
from voxloop_training.evaluation.heard_clip import HeardClip
from voxloop_training.evaluation.heard_set import HeardSet
from voxloop_training.evaluation.phone_confusions import Lexicon
from voxloop_training.evaluation.summary import difference_figures, summarize_set

BOOTSTRAP = Bootstrap(resamples=200)


def summarize(*items: HeardClip, lexicon: Lexicon | None = None, cpu_s: float | None = None) -> SetFigures:
    clips: tuple[Clip, ...] = tuple(item.clip for item in items)
    measures = {each.id: ClipMeasures(2.0, 1.0, 20.0) for each in clips}
    return summarize_set(
        ClipSet("set/test", clips, len(clips) + 5), HeardSet(items, cpu_s=cpu_s), measures, BOOTSTRAP, lexicon or {}
    )


def test_figures_that_can_be_counted_by_hand() -> None:
    found = summarize(
        heard(clip("a", "set a timer"), "set timer"),
        heard(clip("b", "lights off"), "lights of now"),
        heard(clip("c", "stop"), "stop"),
        cpu_s=0.06,
    )
    assert (found.clips, found.scored_clips, found.clips_left_out, found.failed) == (3, 3, 5, 0)
    assert (found.words, found.errors, found.wer) == (6, 3, 0.5)
    assert (found.substitutions, found.deletions, found.insertions) == (1, 1, 1)
    assert found.clips_right_ratio == pytest.approx(1 / 3, abs=1e-5)
    assert found.heard_words == 6
    assert found.cpu_s_per_audio_s == 0.01
    assert (found.wer_low or 0.0) < 0.5 < (found.wer_high or 0.0)
    assert found.interval_unit == "clips"


def test_clips_without_transcripts_have_no_word_errors_but_the_rest() -> None:
    found = summarize(heard(clip("a", None), "two coffees"), heard(clip("b", None), ""), cpu_s=0.4)
    assert (found.wer, found.wer_low, found.cer, found.clips_right_ratio) == (None, None, None, None)
    assert (found.clips, found.scored_clips, found.null_ratio, found.heard_words) == (2, 0, 0.5, 2)
    assert found.cpu_s_per_audio_s == 0.1
    assert found.slices == {}
    assert found.calibration is None
    assert found.utterances[0].reference is None


def test_words_heard_in_noise_are_errors_without_a_rate() -> None:
    found = summarize(heard(clip("a", ""), "hello there"), heard(clip("b", ""), ""))
    assert (found.wer, found.errors, found.insertions, found.words) == (None, 2, 2, 0)
    assert found.clips_right_ratio == 0.5


def test_a_clip_that_failed_is_counted_and_not_scored() -> None:
    found = summarize(heard(clip("a", "one"), "one"), heard(clip("b", "two"), "", error="cut short"))
    assert (found.clips, found.scored_clips, found.failed, found.wer) == (2, 1, 1, 0.0)
    assert found.utterances[1].error == "cut short"


def test_slices_of_few_words_are_marked() -> None:
    long = " ".join(["word"] * 120)
    found = summarize(heard(clip("a", long, "ann"), long), heard(clip("b", "stop", "ben"), "go"))
    speakers = found.slices["speaker"]
    assert (speakers["ann"].few_words, speakers["ben"].few_words) == (False, True)
    assert sum(each.words for each in speakers.values()) == found.words == 121
    assert sum(each.errors for each in speakers.values()) == found.errors == 1


def test_phones_are_compared_only_for_bundles_of_phones() -> None:
    item = heard(clip("a", "bat"), "pat")
    lexicon = {"bat": (("B", "AE", "T"),), "pat": (("P", "AE", "T"),)}
    phones = summarize(item, lexicon=lexicon).phone_confusions
    assert phones is not None
    assert (phones.units, [each.count for each in phones.substitutions]) == (3, [1])
    assert summarize(item).phone_confusions is None


def test_systems_are_compared_on_the_clips_that_both_heard() -> None:
    said = [clip(name, "one two three four") for name in "abc"]
    good = ["one two three four"] * 3
    bad = ["one two three", "one two four", "four"]
    baseline = summarize(*map(heard, said, bad))
    better = summarize(*map(heard, said[:2], good), heard(said[2], "", error="broken"))
    found = difference_figures(better, baseline, BOOTSTRAP)
    assert found is not None
    assert (found.clips, found.wer, found.better_share) == (2, -0.25, 1.0)
    assert difference_figures(baseline, baseline, BOOTSTRAP) is not None
    assert difference_figures(summarize(heard(clip("z", None), "")), baseline, BOOTSTRAP) is None
