"""SpecAugment (Park et al., 2019): stripes of the features are hidden."""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class SpecAugmentConfig(BaseModel):
    """How many stripes and how wide; widths are drawn evenly from zero."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bands: int = Field(2, ge=0, description="frequency stripes per clip")
    band_bins: int = Field(20, ge=0, le=80, description="widest frequency stripe, mel bins")
    gaps_per_s: float = Field(0.5, ge=0, description="time stripes per second of the batch's longest clip")
    gap_frames: int = Field(25, ge=0, description="widest time stripe, frames of 10 ms")


def spec_augment(features: Tensor, config: SpecAugmentConfig, generator: torch.Generator) -> Tensor:
    """Hide stripes of (B, T, F) features behind each clip's mean, a stripe apart for each clip."""
    batch, frames, bins = features.shape
    gaps = max(1, round(config.gaps_per_s * frames / 100)) if config.gaps_per_s else 0
    hidden_bins = _stripes(batch, config.bands, bins, config.band_bins, generator)
    hidden_frames = _stripes(batch, gaps, frames, min(config.gap_frames, frames // 4), generator)
    hidden = hidden_bins[:, None, :] | hidden_frames[:, :, None]
    return torch.where(hidden, features.mean(dim=(1, 2), keepdim=True), features)


def _stripes(batch: int, count: int, length: int, widest: int, generator: torch.Generator) -> Tensor:
    """(B, length) bool: the union of `count` random stripes per row."""
    width = torch.rand(batch, count, 1, generator=generator) * (widest + 1)
    start = torch.rand(batch, count, 1, generator=generator) * (length - width)
    position = torch.arange(length)
    return ((position >= start) & (position < start + width.floor())).any(dim=1)
