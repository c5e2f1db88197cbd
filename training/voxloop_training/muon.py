"""Muon (Jordan et al., 2024): momentum whose update is made orthogonal, for the matrices inside a network."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
_ITERATIONS: Final = 5
_ADAMW_RMS: Final = 0.2
"""Scales the update to the size that AdamW's has, so that both share a learning rate (Liu et al., 2025)."""


class Muon:
    """Matrices of one shape are treated as one stack, and processes share the stacks between them."""

    def __init__(self, parameters: Sequence[Tensor], momentum_ratio: float, decay_ratio: float) -> None:
        self._parameters = list(parameters)
        self._momentum = [torch.zeros_like(parameter) for parameter in parameters]
        self._momentum_ratio = momentum_ratio
        self._decay_ratio = decay_ratio

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """One update with Nesterov momentum and decoupled weight decay."""
        stacks: dict[torch.Size, list[int]] = defaultdict(list)
        for index, gradient in enumerate(gradients):
            self._momentum[index].lerp_(gradient, 1.0 - self._momentum_ratio)
            stacks[gradient.shape].append(index)
        for shape, indices in stacks.items():
            ahead = [gradients[i].lerp(self._momentum[i], self._momentum_ratio) for i in indices]
            scale = _ADAMW_RMS * max(shape) ** 0.5
            for i, update in zip(indices, orthogonalize(torch.stack(ahead)), strict=True):
                self._parameters[i].mul_(1.0 - learning_rate * self._decay_ratio)
                self._parameters[i].add_(update, alpha=-learning_rate * scale)

    def state(self) -> list[Tensor]:
        return self._momentum

    def load(self, state: Sequence[Tensor]) -> None:
        for momentum, saved in zip(self._momentum, state, strict=True):
            momentum.copy_(saved)


def orthogonalize(stack: Tensor) -> Tensor:
    """Newton-Schulz iteration: (N, R, C) float32 -> near-orthogonal matrices of the same shape."""
    x = stack.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if tall else x).float()
