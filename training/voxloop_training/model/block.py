"""One Conformer block (Gulati et al., 2020): half feed-forward, attention, convolution, half feed-forward."""

from torch import Tensor, nn

from voxloop_training.model.attention import CachedAttention
from voxloop_training.model.convolution import CausalConvolution


class FeedForward(nn.Sequential):
    """Normalise, widen, bend, narrow; (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__(nn.LayerNorm(width), nn.Linear(width, inner_width), nn.SiLU(), nn.Linear(inner_width, width))


class ConformerBlock(nn.Module):
    """Adds three kinds of mixing to its input; dropout is applied to what is added."""

    def __init__(self, width: int, heads: int, inner_width: int, kernel_frames: int, dropout_ratio: float) -> None:
        super().__init__()
        self.feed_in = FeedForward(width, inner_width)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CachedAttention(width, heads)
        self.convolution_norm = nn.LayerNorm(width)
        self.convolution = CausalConvolution(width, kernel_frames)
        self.feed_out = FeedForward(width, inner_width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout_ratio)

    def forward(
        self, x: Tensor, channel: Tensor, time: Tensor, mask: Tensor, rotation: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, n, D) with this block's caches -> (B, n, D) and the next caches; see the parts for shapes."""
        x = x + 0.5 * self.dropout(self.feed_in(x))
        attended, channel = self.attention(self.attention_norm(x), channel, mask, rotation)
        x = x + self.dropout(attended)
        convolved, time = self.convolution(self.convolution_norm(x), time)
        x = x + self.dropout(convolved)
        x = x + 0.5 * self.dropout(self.feed_out(x))
        return self.norm(x), channel, time
