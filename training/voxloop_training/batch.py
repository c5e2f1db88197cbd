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
class Targets:
    """What B clips say, as token ids. ids: (B, U) int64, padded with 0 · lengths: (B) int64."""

    ids: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Targets":
        """Pads rows of ids to one length."""
        ids = torch.zeros(len(rows), max(1, *map(len, rows)), dtype=torch.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
        return cls(ids, torch.tensor([len(row) for row in rows]))


@dataclass(frozen=True)
class Batch:
    """Features and targets of B clips.

    features: (B, T, F) float32; behind a clip's end is what digital silence gives
    encoder_frames: (B) int64, frames of 40 ms that hold the clip
    targets: characters · phones: the same said in phones
    seconds: audio in the batch, padding not counted
    """

    features: Tensor
    encoder_frames: Tensor
    targets: Targets
    phones: Targets
    seconds: float


def collate(
    clips: Sequence[Pcm], ids: Sequence[Sequence[int]], phone_ids: Sequence[Sequence[int]], fbank: Fbank
) -> Batch:
    """Pad with digital silence, as the server does at a segment's end, and compute features."""
    frames = torch.tensor([-(-frame_count(len(clip)) // SUBSAMPLING_FRAMES) for clip in clips])
    length_samples = (int(frames.max()) * SUBSAMPLING_FRAMES + OVERLAP_FRAMES) * SHIFT_SAMPLES
    samples = np.zeros((len(clips), length_samples), dtype=np.float32)
    for row, clip in enumerate(clips):
        samples[row, : min(len(clip), length_samples)] = clip[:length_samples]
    seconds = sum(map(len, clips)) / SAMPLE_RATE_HZ
    return Batch(fbank(torch.from_numpy(samples)), frames, Targets.of(ids), Targets.of(phone_ids), seconds)
