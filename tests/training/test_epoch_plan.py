from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from voxloop_training.epoch_plan import Clip, plan_epoch

clip_lists = st.lists(st.floats(0.3, 20.0), min_size=4, max_size=60).map(
    lambda lengths: [Clip(str(index), "a", length) for index, length in enumerate(lengths)]
)


@given(clip_lists, st.integers(0, 5))
def test_no_batch_is_longer_than_allowed(clips: list[Clip], epoch: int) -> None:
    lengths = {clip.id: clip.duration_s for clip in clips}
    for step in plan_epoch(clips, {}, 30.0, 2, seed=1, epoch=epoch):
        for batch in step:
            assert len(batch) * max(lengths[clip_id] for clip_id in batch) <= 30.0 or len(batch) == 1


@given(clip_lists)
def test_alone_every_clip_is_seen_once_per_epoch(clips: list[Clip]) -> None:
    steps = plan_epoch(clips, {}, 30.0, 1, seed=1, epoch=0)
    assert sorted(clip_id for step in steps for clip_id in step[0]) == sorted(clip.id for clip in clips)


def test_a_plan_depends_on_seed_and_epoch_alone() -> None:
    clips = [Clip(str(index), "a", 1.0 + index % 7) for index in range(50)]
    assert plan_epoch(clips, {}, 20.0, 2, 1, 3) == plan_epoch(clips, {}, 20.0, 2, 1, 3)
    assert plan_epoch(clips, {}, 20.0, 2, 1, 3) != plan_epoch(clips, {}, 20.0, 2, 1, 4)


def test_a_set_is_seen_as_often_as_its_weight_says() -> None:
    clips = [Clip(f"{name}{index}", name, 2.0) for name in "ab" for index in range(400)]
    steps = plan_epoch(clips, {"a": 1.5, "b": 0.25}, 20.0, 1, seed=1, epoch=0)
    seen = Counter(clip_id[0] for step in steps for batch in step for clip_id in batch)
    assert 540 <= seen["a"] <= 660
    assert 60 <= seen["b"] <= 140


def test_peers_get_batches_of_the_same_number() -> None:
    clips = [Clip(str(index), "a", 1.0 + index % 7) for index in range(51)]
    assert {len(step) for step in plan_epoch(clips, {}, 8.0, 2, 1, 0)} == {2}
