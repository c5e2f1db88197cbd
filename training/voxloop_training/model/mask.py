"""Which frames may look at which."""

from typing import Final

import torch
from torch import Tensor

HIDDEN: Final = -1e4
"""Added to a score that must not count: beyond any real score, finite also in half precision."""


def chunk_mask(frames: int, chunk_frames: int, left_frames: int) -> Tensor:
    """Whole-file mask (1, 1, T, T): a frame sees its own chunk and `left_frames` before that chunk's first frame."""
    position = torch.arange(frames)
    start = position // chunk_frames * chunk_frames
    key, first = position.unsqueeze(0), start.unsqueeze(1)
    visible = (key >= first - left_frames) & (key < first + chunk_frames)
    return torch.where(visible, 0.0, HIDDEN)[None, None]


def cache_mask(filled_frames: Tensor, cache_frames: int, chunk_frames: int) -> Tensor:
    """Streaming mask (B, 1, n, C + n): the empty front of the cache is hidden. `filled_frames` is (B) int64."""
    key = torch.arange(cache_frames + chunk_frames)
    hidden = key.unsqueeze(0) < (cache_frames - filled_frames).unsqueeze(1)
    row = torch.where(hidden, HIDDEN, 0.0)[:, None, None]
    return row.expand(-1, 1, chunk_frames, -1)
