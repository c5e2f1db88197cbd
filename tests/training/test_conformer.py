import pytest
import torch

from voxloop_training.model import ConformerCtc
from voxloop_training.model.subsampling import OVERLAP_FRAMES


@pytest.mark.parametrize("chunk_frames", [1, 2, 4, 8, 24])
def test_streaming_equals_the_whole_file(small_model: ConformerCtc, chunk_frames: int) -> None:
    features = torch.randn(2, 24 * 4 + OVERLAP_FRAMES, 80) * 3 - 6
    state, outputs = small_model.start(2), []
    with torch.no_grad():
        whole = small_model(features, chunk_frames)[0]
        for start in range(0, 24 * 4, chunk_frames * 4):
            output, state = small_model.step(features[:, start : start + chunk_frames * 4 + OVERLAP_FRAMES], state)
            outputs.append(output)
    assert whole.shape == (2, 48, 29)
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, atol=1e-4, rtol=0)


def test_streams_that_are_not_in_step_share_a_batch(small_model: ConformerCtc) -> None:
    first, second = torch.randn(2, 1, 35, 80) * 3 - 6
    with torch.no_grad():
        _, ahead = small_model.step(first, small_model.start(1))
        fresh = small_model.start(1)
        joined = type(fresh)(*(torch.cat(pair) for pair in zip(ahead, fresh, strict=True)))
        together, _ = small_model.step(torch.cat((second, first)), joined)
        alone = torch.cat((small_model.step(second, ahead)[0], small_model.step(first, fresh)[0]))
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_no_frame_sees_beyond_its_chunk_and_its_overlap(small_model: ConformerCtc) -> None:
    features = torch.randn(1, 16 * 4 + OVERLAP_FRAMES, 80)
    changed = features.clone()
    changed[:, 8 * 4 + OVERLAP_FRAMES :] += 5.0
    with torch.no_grad():
        before, after = small_model(features, 8)[0], small_model(changed, 8)[0]
    torch.testing.assert_close(before[:, :16], after[:, :16])
    assert not torch.allclose(before[:, 16:], after[:, 16:])


def test_the_normalisation_is_part_of_the_model(small_model: ConformerCtc) -> None:
    features = torch.randn(1, 35, 80) * 3 - 6
    with torch.no_grad():
        expected = small_model(features, 8)[0]
        small_model.mean += 10.0
        found = small_model(features + 10.0, 8)[0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
