"""The CTC loss of a batch, as a sum, so that processes with unequal batches can be added up."""

import torch
from torch import Tensor
from torch.nn import functional

from voxloop_training.batch import Batch
from voxloop_training.model import ConformerCtc
from voxloop_training.tokens import Tokens


def ctc_sum(log_probabilities: Tensor, batch: Batch, blank_id: int, outputs_per_frame: int) -> Tensor:
    """Summed negative log-likelihood in nats; clips too short for their text add nothing.

    log_probabilities (B, T, V) float32.
    """
    return functional.ctc_loss(
        log_probabilities.transpose(0, 1),
        batch.targets,
        batch.encoder_frames * outputs_per_frame,
        batch.target_lengths,
        blank=blank_id,
        reduction="sum",
        zero_infinity=True,
    )


@torch.no_grad()
def greedy_texts(model: ConformerCtc, batch: Batch, tokens: Tokens, chunk_frames: int) -> list[str]:
    """Best path of each clip, decoded as a stream of `chunk_frames` would be."""
    best = model(batch.features, chunk_frames)[0].argmax(dim=-1)
    lengths = (batch.encoder_frames * model.config.outputs_per_frame).tolist()
    rows: list[list[int]] = best.tolist()
    return [tokens.to_text(tokens.collapse(row[:length])) for row, length in zip(rows, lengths, strict=True)]
