"""The sum over all sentences against the sum written out."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from voxloop_training.batch import Targets
from voxloop_training.competition import competition
from voxloop_training.ctc import ctc_losses
from voxloop_training.phone_grammar import log_probability, phone_trigram

PHONES = 3
SENTENCES = ([0, 1, 2], [0, 0, 1], [2, 1], [1], [0, 1, 2, 2])


def scores(frames: int, batch: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.randn(batch, frames, PHONES + 1, generator=generator, dtype=dtype).log_softmax(-1)


def sentence_of(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != PHONES)


def written_out(log_probabilities: Tensor, trigram: Tensor) -> float:
    """All paths of one clip, (T, V)."""
    paths = itertools.product(range(PHONES + 1), repeat=len(log_probabilities))
    return math.log(
        sum(
            math.exp(
                sum(float(log_probabilities[t, token]) for t, token in enumerate(path))
                + log_probability(trigram, sentence_of(path))
            )
            for path in paths
        )
    )


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_equals_the_sum_over_all_paths(frames: int) -> None:
    trigram, found = phone_trigram(SENTENCES, PHONES), scores(frames)
    total = competition(found, torch.full((2,), frames), trigram)
    expected = [written_out(clip, trigram) for clip in found]
    torch.testing.assert_close(total, torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_padding_changes_nothing() -> None:
    trigram, found = phone_trigram(SENTENCES, PHONES), scores(5)
    short = competition(found[:1, :3], torch.tensor([3]), trigram)
    torch.testing.assert_close(competition(found, torch.tensor([3, 5]), trigram)[:1], short)


def test_gradient_is_that_of_the_sum() -> None:
    trigram = phone_trigram(SENTENCES, PHONES).double()
    found = scores(6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: competition(x, torch.tensor([4, 6]), trigram), (found,))


def test_each_frame_is_occupied_once() -> None:
    trigram, found = phone_trigram(SENTENCES, PHONES), scores(40).requires_grad_()
    torch.autograd.backward(competition(found, torch.tensor([40, 40]), trigram).sum())
    assert found.grad is not None
    torch.testing.assert_close(found.grad.sum(-1), torch.ones(2, 40), rtol=1e-4, atol=1e-4)


def test_the_right_sentence_is_one_of_all() -> None:
    trigram, found = phone_trigram(SENTENCES, PHONES), scores(12)
    said = Targets.of([[0, 1, 2], [2, 1]])
    frames = torch.full((2,), 12)
    prior = torch.tensor([log_probability(trigram, [0, 1, 2]), log_probability(trigram, [2, 1])])
    assert bool((-ctc_losses(found, frames, said) + prior < competition(found, frames, trigram)).all())


def test_every_phone_is_possible_anywhere_and_shares_add_up() -> None:
    trigram = phone_trigram(SENTENCES, PHONES)
    assert float(trigram.min()) > 0
    torch.testing.assert_close(trigram.sum(-1), torch.ones(PHONES + 1, PHONES + 1))
