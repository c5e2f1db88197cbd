from hypothesis import given
from hypothesis import strategies as st
from tests.training.evaluation.clip_factory import clip, heard, scored

from voxloop_training.evaluation.clip_measures import ClipMeasures
from voxloop_training.evaluation.scored_clip import ScoredClip, score_clips
from voxloop_training.evaluation.slices import UNKNOWN, slice_clips

CLIPS = st.lists(
    st.tuples(
        st.sampled_from(["a b c", "x", ""]),
        st.sampled_from(["a b", "x", ""]),
        st.sampled_from([None, "anna", "ben"]),
        st.sampled_from([None, "f", "m"]),
        st.floats(0.1, 20),
        st.none() | st.floats(-10, 60),
        st.floats(0, 5),
    ),
    max_size=12,
)


@given(CLIPS)
def test_the_slices_of_each_dimension_add_up_to_the_whole(
    rows: list[tuple[str, str, str | None, str | None, float, float | None, float]],
) -> None:
    items, measures = [], {}
    for number, (said, text, speaker, gender, audio_s, snr_db, voiced_s) in enumerate(rows):
        tags = {"gender": gender} if gender else {}
        items.append(heard(clip(str(number), said, speaker, **tags), text))
        measures[str(number)] = ClipMeasures(audio_s, voiced_s, snr_db)
    everything = score_clips(items, measures)
    for values in slice_clips(everything).values():
        members = [each for clips in values.values() for each in clips]
        assert sorted(member.clip.id for member in members) == sorted(each.clip.id for each in everything)
        assert sum(member.errors for member in members) == sum(each.errors for each in everything)


def names(clips: list[ScoredClip]) -> dict[str, list[str]]:
    return {dimension: list(values) for dimension, values in slice_clips(clips).items()}


def test_bands_come_in_order_and_what_is_not_known_last() -> None:
    clips = [
        *scored(heard(clip("a", "x" * 20), "x"), audio_s=12.0, snr_db=None),
        *scored(heard(clip("b", "x" * 5), "x"), audio_s=2.0, snr_db=45.0),
        *scored(heard(clip("c", "x" * 13), "x"), audio_s=0.5, snr_db=9.9),
        *scored(heard(clip("d", "x"), "x"), audio_s=9.9, snr_db=40.0, voiced_s=0.0),
    ]
    assert names(clips) == {
        "length": ["under 2 s", "2 to 5 s", "5 to 10 s", "over 10 s"],
        "SNR": ["under 10 dB", "over 40 dB", UNKNOWN],
        "pace": ["under 10 letters/s", "13 to 16 letters/s", "over 16 letters/s", UNKNOWN],
    }


def test_tags_are_slices_unless_they_tell_nothing_apart() -> None:
    items = []
    for number in range(60):
        kind, score = "ab"[number % 2], 8 + number * 0.5
        said = clip(str(number), "x", "ann", kind=kind, set="one", score=score, file=str(number))
        items.append(heard(said, "x"))
    clips = scored(*items)
    found = names(clips)
    assert found["kind"] == ["a", "b"]
    assert found["score"][:3] == ["8 to 9", "9 to 10", "10 to 11"]
    assert found.keys() == {"kind", "score"}


def test_a_missing_tag_is_a_slice_of_its_own() -> None:
    clips = scored(heard(clip("a", "x", gender="f"), "x"), heard(clip("b", "x"), "x"))
    assert names(clips)["gender"] == ["f", UNKNOWN]
