"""The Conformer's convolution, looking only to the past."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalConvolution(nn.Module):
    """Gated, depthwise, left-only convolution; the cache holds the last kernel - 1 gated frames.

    The depthwise product runs as a channels-last 2-D convolution: on a CPU that is several times faster than Conv1d
    and needs no transposed copy.
    """

    def __init__(self, width: int, kernel_frames: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv2d(width, width, kernel_size=(1, kernel_frames), groups=width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, n, D), cache (B, D, K) -> (B, n, D) and the next cache (B, D, K)."""
        gated = torch.cat((cache.transpose(1, 2), functional.glu(self.expand(x), dim=-1)), dim=1)
        planes = self.depthwise(gated.unsqueeze(1).permute(0, 3, 1, 2))
        mixed = planes.permute(0, 2, 3, 1).squeeze(1)
        return self.out(functional.silu(self.norm(mixed))), gated[:, x.shape[1] :].transpose(1, 2)
