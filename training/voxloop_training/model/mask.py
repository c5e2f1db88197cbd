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


def ring_mask(heard_frames: Tensor, slots: int, chunk_frames: int) -> Tensor:
    """Streaming mask (B, 1, n, slots + n): slots of the ring that no frame was written to yet are hidden.

    heard_frames: since the stream began, (B) int64.
    """
    slot = torch.cat((torch.arange(slots), torch.full((chunk_frames,), -1)))  # the chunk itself is never hidden
    row = torch.where(slot < heard_frames[:, None, None, None], 0.0, HIDDEN)
    return row.expand(-1, 1, chunk_frames, -1)
