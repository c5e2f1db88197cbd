"""What a stream remembers between chunks, apart from the weights."""

from typing import NamedTuple

from torch import Tensor


class StreamState(NamedTuple):
    """Caches of a batch of streams; all zeros at the start. The layout is NeMo's.

    channel: keys and values of past frames, (B, L, C, 2D) float32
    time: gated frames before the depthwise convolutions, (B, L, D, K) float32
    channel_frames: how many of the C cached frames are filled, (B) int64
    """

    channel: Tensor
    time: Tensor
    channel_frames: Tensor
