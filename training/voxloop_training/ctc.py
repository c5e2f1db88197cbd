"""The CTC loss of a batch, clip by clip, and the best path through its output."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from voxloop_training.batch import Batch, Targets
from voxloop_training.model import ConformerCtc

_HALF_GAIN_CHARACTERS: Final = 4.0


def ctc_losses(log_probabilities: Tensor, output_frames: Tensor, targets: Targets) -> Tensor:
    """Negative log-likelihood of each clip in nats, (B) float32; of a clip too short for its text it is zero.

    log_probabilities: (B, T, V) float32, the blank last · output_frames: (B) int64, how many of T hold the clip
    """
    return functional.ctc_loss(
        log_probabilities.transpose(0, 1),
        targets.ids,
        output_frames,
        targets.lengths,
        blank=log_probabilities.shape[-1] - 1,
        reduction="none",
        zero_infinity=True,
    )


def clip_weights(lengths: Tensor, short_gain: float) -> Tensor:
    """How much each clip's loss counts, (B) float32, by the (B) lengths of its text in characters.

    A command of four letters has a fiftieth of a read sentence's characters, and as much of the loss; it is lifted by
    up to `short_gain`, which falls to half of its effect at four characters.
    """
    return 1.0 + (short_gain - 1.0) / (1.0 + lengths / _HALF_GAIN_CHARACTERS)


@torch.no_grad()
def greedy_ids(model: ConformerCtc, batch: Batch, chunk_frames: int) -> list[list[int]]:
    """Each clip's best path through phones, or without them characters, as a stream of `chunk_frames` would have it."""
    readings = model(batch.features, chunk_frames)
    best = (readings.characters if readings.phones is None else readings.phones).argmax(dim=-1)
    lengths = (batch.encoder_frames * model.config.outputs_per_frame).tolist()
    rows: list[list[int]] = best.tolist()
    return [row[:length] for row, length in zip(rows, lengths, strict=True)]
