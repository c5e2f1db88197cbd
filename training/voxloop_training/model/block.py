"""One Conformer block (Gulati et al., 2020): half feed-forward, attention, convolution, half feed-forward."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from voxloop_training.model.attention import CachedAttention
from voxloop_training.model.convolution import CausalConvolution
from voxloop_training.model.rotary import Rotation


class BlockFrames(NamedTuple):
    """What a block remembers of some frames.

    keys, values: each (B, H, frames, W), the keys rotated by position · gated: (B, 1, frames, D)
    """

    keys: Tensor
    values: Tensor
    gated: Tensor


class HalfFeedForward(nn.Sequential):
    """Normalise, widen, bend, narrow, halve; The last weights are halved, not what they give."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__(nn.LayerNorm(width), nn.Linear(width, inner_width), nn.SiLU(), nn.Linear(inner_width, width))

    def forward(self, x: Tensor) -> Tensor:
        norm, widen, bend, narrow = self
        assert isinstance(narrow, nn.Linear)
        return functional.linear(bend(widen(norm(x))), 0.5 * narrow.weight, 0.5 * narrow.bias)


class ConformerBlock(nn.Module):
    """Adds three kinds of mixing to its input; dropout is applied to what is added."""

    def __init__(self, width: int, heads: int, inner_width: int, kernel_frames: int, dropout_ratio: float) -> None:
        super().__init__()
        self.feed_in = HalfFeedForward(width, inner_width)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CachedAttention(width, heads)
        self.convolution_norm = nn.LayerNorm(width)
        self.convolution = CausalConvolution(width, kernel_frames)
        self.feed_out = HalfFeedForward(width, inner_width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout_ratio)

    def forward(self, x: Tensor, past: BlockFrames, mask: Tensor, rotation: Rotation) -> tuple[Tensor, BlockFrames]:
        """x (B, 1, n, D) after this block's past -> (B, 1, n, D) and what to remember of the n frames."""
        x = x + self.dropout(self.feed_in(x))
        attended, (keys, values) = self.attention(self.attention_norm(x), (past.keys, past.values), mask, rotation)
        x = x + self.dropout(attended)
        convolved, gated = self.convolution(self.convolution_norm(x), past.gated)
        x = x + self.dropout(convolved)
        x = x + self.dropout(self.feed_out(x))
        return self.norm(x), BlockFrames(keys, values, gated)
