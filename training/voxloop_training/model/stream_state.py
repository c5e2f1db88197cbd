"""What a stream remembers between chunks, apart from the weights."""

from typing import NamedTuple

import torch
from torch import Tensor


class StreamState(NamedTuple):
    """Caches of a batch of streams; all zeros at the start. Of NeMo's layout are the ranks and the order.

    channel: of each block the keys, rotated by their position in the stream, then the values, (B, L * 2H, C, W)
        float32. A ring of the last C frames: frame i of the stream is in slot i % C, so that a step writes its own
        frames and moves no other
    time: gated frames before the depthwise convolutions, the newest last, (B, L, K, D) float32
    heard_frames: encoder frames since the stream began, (B) int64
    """

    channel: Tensor
    time: Tensor
    heard_frames: Tensor


def ring_with(ring: Tensor, frames: Tensor, heard_frames: Tensor) -> Tensor:
    """The ring (B, J, C, W) after the frames (B, J, n, W) that follow `heard_frames` (B) ones."""
    slots, total = ring.shape[2], frames.shape[2]
    kept = frames[:, :, -slots:]
    indices = torch.arange(total - kept.shape[2], total)
    streams = torch.arange(ring.shape[0])[:, None, None]
    rows = torch.arange(ring.shape[1])[:, None]
    return ring.index_put((streams, rows, (heard_frames[:, None, None] + indices) % slots), kept)


def newest(past: Tensor, present: Tensor) -> Tensor:
    """The last frames of past and present, along axis 2, as many as the past has."""
    kept = past.shape[2] - present.shape[2]
    return present[:, :, -past.shape[2] :] if kept <= 0 else torch.cat((past[:, :, -kept:], present), dim=2)
