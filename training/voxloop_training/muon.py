"""Muon (Jordan et al., 2024): momentum whose update is made orthogonal, for the matrices inside a network."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from voxloop_training.peers import Peers

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
_ITERATIONS: Final = 5
_ADAMW_RMS: Final = 0.2
"""Scales the update to the size that AdamW's has, so that both share a learning rate (Liu et al., 2025)."""


class Muon:
    """Matrices of one shape are treated as one stack; peers each make a share of every stack orthogonal.

    Alone, the iterations cost as much as learning from 40 seconds of audio; shared, half of it.
    """

    def __init__(self, parameters: Sequence[Tensor], momentum_ratio: float, decay_ratio: float, peers: Peers) -> None:
        self._parameters = list(parameters)
        self._momentum = [torch.zeros_like(parameter) for parameter in parameters]
        self._momentum_ratio = momentum_ratio
        self._decay_ratio = decay_ratio
        self._peers = peers

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """One update with Nesterov momentum and decoupled weight decay."""
        for momentum, gradient in zip(self._momentum, gradients, strict=True):
            momentum.lerp_(gradient, 1.0 - self._momentum_ratio)
        for parameter, update in zip(self._parameters, self._updates(gradients), strict=True):
            scale = _ADAMW_RMS * max(update.shape) ** 0.5
            parameter.mul_(1.0 - learning_rate * self._decay_ratio)
            parameter.add_(update, alpha=-learning_rate * scale)

    def _updates(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Orthogonal directions, one per matrix, the same on all peers."""
        updates = [torch.zeros_like(gradient, dtype=torch.bfloat16) for gradient in gradients]
        for indices in _by_shape(gradients):
            mine = indices[self._peers.rank :: self._peers.count]
            ahead = [gradients[i].lerp(self._momentum[i], self._momentum_ratio) for i in mine]
            for i, update in zip(mine, orthogonalize(torch.stack(ahead)) if mine else (), strict=True):
                updates[i] = update
        row = self._peers.sum(torch.cat([update.flatten() for update in updates]))
        pieces = torch.split(row, [update.numel() for update in updates])
        return [piece.view_as(update) for piece, update in zip(pieces, updates, strict=True)]

    def state(self) -> list[Tensor]:
        return self._momentum

    def load(self, state: Sequence[Tensor]) -> None:
        for momentum, saved in zip(self._momentum, state, strict=True):
            momentum.copy_(saved)


def _by_shape(matrices: Sequence[Tensor]) -> list[list[int]]:
    """Indices of matrices, grouped by shape."""
    groups: dict[torch.Size, list[int]] = defaultdict(list)
    for index, matrix in enumerate(matrices):
        groups[matrix.shape].append(index)
    return list(groups.values())


def orthogonalize(stack: Tensor) -> Tensor:
    """Newton-Schulz iteration: (N, R, C) float32 -> near-orthogonal matrices, (N, R, C) bfloat16."""
    x = stack.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2).contiguous() if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = x @ x.transpose(1, 2)
        mixed = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, mixed, x, beta=a)
    return x.transpose(1, 2) if tall else x
