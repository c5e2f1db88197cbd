"""The Conformer's convolution, looking only to the past."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalConvolution(nn.Module):
    """Gated, depthwise, left-only convolution; its past is the last kernel - 1 gated frames.

    The depthwise product runs as a channels-last 2-D convolution: on a CPU that is several times faster than Conv1d
    and needs no transposed copy.
    """

    def __init__(self, width: int, kernel_frames: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv2d(width, width, kernel_size=(1, kernel_frames), groups=width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, 1, n, D), past (B, 1, K, D) -> (B, 1, n, D) and the chunk's own gated frames (B, 1, n, D)."""
        gated = functional.glu(self.expand(x), dim=-1)
        planes = self.depthwise(torch.cat((past, gated), dim=2).permute(0, 3, 1, 2))
        mixed = planes.permute(0, 2, 3, 1)
        return self.out(functional.silu(self.norm(mixed))), gated
