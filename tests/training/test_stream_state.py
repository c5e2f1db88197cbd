import pytest
import torch

from voxloop_training.model import ConformerCtc
from voxloop_training.model.rotary import rotate, rotation_of
from voxloop_training.model.stream_state import newest, ring_with
from voxloop_training.model.subsampling import OVERLAP_FRAMES

SLOTS = 6


@pytest.mark.parametrize("step_frames", [1, 4, 6, 9])
def test_a_ring_holds_the_last_frames_each_in_the_slot_of_its_number(step_frames: int) -> None:
    ring = torch.zeros(1, 2, SLOTS, 3)
    numbers = torch.arange(4 * step_frames, dtype=torch.float32)
    for start in range(0, len(numbers), step_frames):
        frames = numbers[start : start + step_frames, None].expand(1, 2, step_frames, 3)
        ring = ring_with(ring, frames, torch.tensor([start]))
    newest_numbers = range(max(0, len(numbers) - SLOTS), len(numbers))
    expected = [0.0] * SLOTS
    for number in newest_numbers:
        expected[number % SLOTS] = float(number)
    torch.testing.assert_close(ring, torch.tensor(expected)[:, None].expand(1, 2, SLOTS, 3))


def test_each_stream_of_a_batch_writes_to_its_own_slots() -> None:
    ring = ring_with(torch.zeros(2, 1, SLOTS, 1), torch.ones(2, 1, 2, 1), torch.tensor([0, 5]))
    assert ring[:, 0, :, 0].tolist() == [[1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize(("present", "expected"), [([7], [2, 3, 7]), ([7, 8, 9], [7, 8, 9]), ([6, 7, 8, 9], [7, 8, 9])])
def test_the_newest_frames_are_as_many_as_the_past_has(present: list[int], expected: list[int]) -> None:
    past = torch.tensor([1, 2, 3])[None, None, :, None]
    assert newest(past, torch.tensor(present)[None, None, :, None]).flatten().tolist() == expected


@pytest.mark.parametrize(("heard_frames", "limit"), [(1_500, 1e-3), (90_000, 2e-2)])
def test_scores_depend_on_distance_alone_a_minute_and_an_hour_into_a_stream(heard_frames: int, limit: float) -> None:
    generator = torch.Generator().manual_seed(1)
    queries, keys = torch.randn(2, 1, 4, 8, 48, generator=generator)
    near, far = (rotation_of(torch.arange(8.0)[None] + start, 48) for start in (0, heard_frames))
    expected = rotate(queries, near) @ rotate(keys, near).transpose(-1, -2)
    found = rotate(queries, far) @ rotate(keys, far).transpose(-1, -2)
    torch.testing.assert_close(found, expected, atol=limit * 48**0.5, rtol=0)


def test_a_minute_of_streaming_equals_the_whole_file(small_model: ConformerCtc) -> None:
    chunk_frames, generator = 25, torch.Generator().manual_seed(2)
    features = torch.randn(1, 1_500 * 4 + OVERLAP_FRAMES, 80, generator=generator) * 3 - 6
    state, outputs = small_model.start(1), []
    with torch.no_grad():
        whole = small_model(features, chunk_frames)[0]
        for start in range(0, features.shape[1] - OVERLAP_FRAMES, chunk_frames * 4):
            output, state = small_model.step(features[:, start : start + chunk_frames * 4 + OVERLAP_FRAMES], state)
            outputs.append(output)
    assert state.heard_frames.tolist() == [1_500]
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, atol=1e-4, rtol=0)
