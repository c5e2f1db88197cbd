"""Kaldi log-mel filterbanks for a batch of clips at once."""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxloop_proto.audio import SAMPLE_RATE_HZ

FRAME_SAMPLES: Final = 400
SHIFT_SAMPLES: Final = 160
FFT_SAMPLES: Final = 512
PREEMPHASIS: Final = 0.97
LOW_HZ: Final = 20.0
HIGH_HZ: Final = 7600.0
_SMALLEST_ENERGY: Final = 1.1920929e-07


class Fbank(nn.Module):
    """Equals kaldi-native-fbank within 2e-3 (80 bins, Povey window, no dither, snip_edges false).

    Kaldi's reference implementation handles a clip at a time; this one is a strided view and three products.
    """

    window: Tensor
    mel: Tensor

    def __init__(self, mel_bins: int = 80) -> None:
        super().__init__()
        hann = torch.hann_window(FRAME_SAMPLES, periodic=False, dtype=torch.float64)
        self.register_buffer("window", hann.pow(0.85).float())
        self.register_buffer("mel", mel_weights(mel_bins))

    @torch.no_grad()
    def forward(self, samples: Tensor) -> Tensor:
        """(B, N) float32 in [-1, 1] -> (B, frame_count(N), mel_bins) float32."""
        frames = mirror_edges(samples).unfold(1, FRAME_SAMPLES, SHIFT_SAMPLES)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        previous = torch.cat((frames[..., :1], frames[..., :-1]), dim=-1)
        shaped = (frames - PREEMPHASIS * previous) * self.window
        spectrum = torch.view_as_real(torch.fft.rfft(shaped, n=FFT_SAMPLES)).square().sum(-1)
        return (spectrum @ self.mel).clamp(min=_SMALLEST_ENERGY).log()


def frame_count(samples: int) -> int:
    """How many frames Kaldi makes of a clip with snip_edges false."""
    return (samples + SHIFT_SAMPLES // 2) // SHIFT_SAMPLES


def mirror_edges(samples: Tensor) -> Tensor:
    """Reflect both ends, edge sample included, so that frame i is centred at (i + 1/2) shifts."""
    count = frame_count(samples.shape[1])
    before = (FRAME_SAMPLES - SHIFT_SAMPLES) // 2
    after = max(0, (count - 1) * SHIFT_SAMPLES + FRAME_SAMPLES - before - samples.shape[1])
    if samples.shape[1] < max(before, after):
        raise ValueError(f"{samples.shape[1]} samples are too few for one frame; at least {max(before, after)}")
    left, right = samples[:, :before].flip(1), samples[:, samples.shape[1] - after :].flip(1)
    return torch.cat((left, samples, right), dim=1)


def mel_weights(mel_bins: int) -> Tensor:
    """Kaldi's triangles, (FFT_SAMPLES / 2 + 1, mel_bins) float32; the Nyquist bin weighs nothing."""
    low, high = _to_mel(LOW_HZ), _to_mel(HIGH_HZ)
    step = (high - low) / (mel_bins + 1)
    bin_hz = SAMPLE_RATE_HZ / FFT_SAMPLES
    mels = torch.tensor([_to_mel(bin_hz * index) for index in range(FFT_SAMPLES // 2)], dtype=torch.float64)
    left = low + step * torch.arange(mel_bins, dtype=torch.float64)
    rising = (mels[:, None] - left) / step
    triangles = torch.minimum(rising, 2.0 - rising).clamp(min=0.0)
    return functional.pad(triangles, (0, 0, 0, 1)).float()


def _to_mel(hz: float) -> float:
    return 1127.0 * math.log(1.0 + hz / 700.0)
