import json
from pathlib import Path

import pytest

from voxloop_proto.errors import ConfigError, DataError
from voxloop_training.evaluation.clip_set import ClipSet, read_clip_sets
from voxloop_training.evaluation.condition import parse_condition


def write(root: Path, name: str, rows: list[dict[str, object]]) -> Path:
    manifest = root / name / "test.jsonl"
    manifest.parent.mkdir()
    (manifest.parent / "a.wav").touch()
    lines = [json.dumps({"id": str(number), "audio": "a.wav", "text": "x", **row}) for number, row in enumerate(rows)]
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    return write(tmp_path, "graded", [{"score": score, "who": "fm"[score % 2]} for score in range(10)])


def read(manifest: Path, *conditions: str) -> ClipSet:
    [found] = read_clip_sets([manifest], [parse_condition(text) for text in conditions])
    return found


def ids(found: ClipSet) -> str:
    return "".join(clip.id for clip in found.clips)


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("score>=8", "89"), ("score > 8", "9"), ("score<1.5", "01"), ("score<=1", "01"), ("score=3", "3"),
        ("score!=3", "012456789"), ("who=f", "02468"), ("who!=f", "13579"), ("speaker=x", None),
    ],
)  # fmt: skip
def test_conditions_choose_clips(graded: Path, condition: str, left: str | None) -> None:
    if left is None:
        with pytest.raises(ConfigError, match=r"no set has a field 'speaker'; they have score, who"):
            read(graded, condition)
    else:
        assert ids(read(graded, condition)) == left


def test_several_conditions_must_all_hold(graded: Path) -> None:
    found = read(graded, "score>=4", "who=m")
    assert ids(found) == "579"
    assert found.all_clips == 10


def test_a_condition_concerns_only_the_sets_that_have_its_field(graded: Path, tmp_path: Path) -> None:
    plain = write(tmp_path, "plain", [{}, {}])
    with_field, without = read_clip_sets([graded, plain], [parse_condition("score>=9")])
    assert (ids(with_field), ids(without)) == ("9", "01")


def test_a_clip_without_the_field_does_not_count(tmp_path: Path) -> None:
    assert ids(read(write(tmp_path, "half", [{"score": 9}, {}]), "score>=1")) == "0"


@pytest.mark.parametrize("text", ["score", ">=8", "score>=", "score~8"])
def test_a_condition_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="allowed is FIELD>=VALUE"):
        parse_condition(text)


def test_text_is_neither_more_nor_less(graded: Path) -> None:
    with pytest.raises(ConfigError, match="compares numbers only"):
        read(graded, "who>=8")


def test_a_set_of_which_nothing_is_left_is_named(graded: Path) -> None:
    with pytest.raises(DataError, match=r"set graded/test: none of its 10 clips has score>=99"):
        read(graded, "score>=99")


def test_a_draw_keeps_the_order_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    manifest = write(tmp_path, "many", [{} for _ in range(100)])
    first, again, other = (
        [int(clip.id) for clip in read_clip_sets([manifest], most_clips=10, seed=seed)[0].clips] for seed in (1, 1, 2)
    )
    assert first == again == sorted(first)
    assert len(set(first)) == 10
    assert first != other


def test_two_sets_of_one_name_are_refused(graded: Path) -> None:
    with pytest.raises(ConfigError, match="two sets are called graded/test"):
        read_clip_sets([graded, graded])


def test_what_is_no_manifest_is_refused(graded: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        read(graded.with_name("dev.jsonl"))
    with pytest.raises(ConfigError, match="is no manifest"):
        read(graded.with_name("a.wav"))
