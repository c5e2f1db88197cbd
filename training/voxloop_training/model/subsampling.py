"""Four feature frames become one encoder frame."""

from typing import Final

from torch import Tensor, nn

SUBSAMPLING_FRAMES: Final = 4
OVERLAP_FRAMES: Final = 3
"""Feature frames that one window shares with the next: the convolutions' reach past 4 frames per output."""


class Subsampling(nn.Module):
    """Two strided convolutions without padding in time, so that no state is carried between windows.

    Output frame i sees the feature frames 4i to 4i + 6; a window of 4n + 3 frames gives n frames.
    """

    def __init__(self, mel_bins: int, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, kernel_size=3, stride=2, padding=(0, 1))
        self.second = nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=(0, 1))
        self.project = nn.Linear(channels * (mel_bins // 4), width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 4n + 3, mel_bins) -> (B, n, width)."""
        planes = self.second(self.first(features.unsqueeze(1)).relu()).relu()
        return self.project(planes.permute(0, 2, 1, 3).flatten(2))  # type: ignore[no-any-return]  # nn.Module.__call__


def encoder_frames(feature_frames: int) -> int:
    """How many encoder frames come out of so many feature frames."""
    return max(0, (feature_frames - OVERLAP_FRAMES) // SUBSAMPLING_FRAMES)
