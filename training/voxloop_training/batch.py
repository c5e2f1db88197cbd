"""Clips side by side, ready for the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_training.features import SHIFT_SAMPLES, Fbank, frame_count
from voxloop_training.model.subsampling import OVERLAP_FRAMES, SUBSAMPLING_FRAMES


@dataclass(frozen=True)
class Batch:
    """Features and targets of B clips.

    features: (B, T, F) float32; behind a clip's end is what digital silence gives
    encoder_frames: (B) int64, frames of 40 ms that hold the clip
    targets: (B, U) int64, token ids, padded with 0
    target_lengths: (B) int64
    seconds: audio in the batch, padding not counted
    """

    features: Tensor
    encoder_frames: Tensor
    targets: Tensor
    target_lengths: Tensor
    seconds: float


def collate(clips: Sequence[Pcm], ids: Sequence[Sequence[int]], fbank: Fbank) -> Batch:
    """Pad with digital silence, as the server does at a segment's end, and compute features."""
    frames = torch.tensor([-(-frame_count(len(clip)) // SUBSAMPLING_FRAMES) for clip in clips])
    length_samples = (int(frames.max()) * SUBSAMPLING_FRAMES + OVERLAP_FRAMES) * SHIFT_SAMPLES
    samples = np.zeros((len(clips), length_samples), dtype=np.float32)
    targets = torch.zeros(len(ids), max(1, *map(len, ids)), dtype=torch.int64)
    for row, (clip, spelled) in enumerate(zip(clips, ids, strict=True)):
        samples[row, : min(len(clip), length_samples)] = clip[:length_samples]
        targets[row, : len(spelled)] = torch.tensor(spelled, dtype=torch.int64)
    seconds = sum(map(len, clips)) / SAMPLE_RATE_HZ
    lengths = torch.tensor([len(spelled) for spelled in ids])
    return Batch(fbank(torch.from_numpy(samples)), frames, targets, lengths, seconds)
