"""Rotary position embedding (Su et al., 2021): positions enter as rotations, so only distances matter."""

import torch
from torch import Tensor


def rotation_table(positions: int, head_width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (positions, head_width / 2) float32."""
    rates = base ** (-torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), rates)
    return angles.cos(), angles.sin()


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate (B, H, T, W) by position; the tables are (T, W / 2)."""
    left, right = heads.chunk(2, dim=-1)
    return torch.cat((left * cosines - right * sines, right * cosines + left * sines), dim=-1)
