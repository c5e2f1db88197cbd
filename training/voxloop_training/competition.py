"""What else a clip could have said: the sum over all sentences, for training that tells right from rival ones.

CTC alone makes the right phones likely. Divided by the likelihood of all phone sequences, each as likely as a small
grammar has it, the model learns what the search will ask of it: to lift the right sentence above its rivals. This is
maximum mutual information over a phone grammar (LF-MMI: Povey et al., 2016) in CTC's topology (CTC-CRF: Xiang and Ou,
2019).
"""

from typing import Any, Final

import torch
from torch import Tensor

_RESCALED_FRAMES: Final = 4
"""The forward values are brought back to a sum of one so often; they stay far above float32's smallest in between."""


def competition(log_probabilities: Tensor, output_frames: Tensor, trigram: Tensor) -> Tensor:
    """ln of the likelihood of all sentences together, (B) float32; at most 0.

    log_probabilities: (B, T, V) float32, the blank last · output_frames: (B), how many of T hold the clip ·
    trigram: (V, V, V) of phone_grammar, whose edge is where the blank is here
    """
    frames = torch.arange(log_probabilities.shape[1])
    padding = frames[None, :, None] >= output_frames[:, None, None]
    silent = torch.full_like(log_probabilities[:1, :1], -torch.inf)
    silent[..., -1] = 0.0  # blanks that are sure change no sentence
    total: Tensor = _Total.apply(  # type: ignore[no-untyped-call]
        torch.where(padding, silent, log_probabilities), trigram
    )
    return total


class _Total(torch.autograd.Function):
    """Forward-backward over pairs of phones (Rabiner, 1989, scaled). The gradient is each frame's occupation.

    A state is the last two phones, (V, V) with the edge as a phone before the first, and whether the last is held
    (0) or a blank came since (1). All is laid out as (last phone, B, phone before), one matrix product per frame.
    """

    @staticmethod
    def forward(ctx: Any, log_probabilities: Tensor, trigram: Tensor) -> Tensor:
        batch, frames, size = log_probabilities.shape
        follow, edge = _follow(trigram), size - 1
        likely = log_probabilities.exp().permute(1, 2, 0).contiguous()  # (T, V, B)
        states = likely.new_zeros(frames + 1, size, batch, 2, size)
        states[0, edge, :, 1, edge] = 1.0
        scale = likely.new_ones(frames + 1, batch)
        for t in range(frames):
            here, then = states[t], states[t + 1]
            moved = torch.bmm(here.flatten(2), follow).transpose(0, 2)  # (last, B, before)
            torch.mul(moved.add_(here[:, :, 0]), likely[t, :, :, None], out=then[:, :, 0])
            torch.mul(here.sum(dim=2), likely[t, edge, None, :, None], out=then[:, :, 1])
            if t % _RESCALED_FRAMES == 0:
                total = then.sum(dim=(0, 2, 3))
                then /= total[None, :, None, None]
                scale[t + 1] = total
        ending = trigram[:, :, edge].T[:, None, None, :]
        last = (states[frames] * ending).sum(dim=(0, 2, 3))
        ctx.save_for_backward(likely, trigram, states, scale, last)
        return scale.log().sum(dim=0) + last.log()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        likely, trigram, states, scale, last = ctx.saved_tensors
        frames, size, batch = likely.shape
        edge = size - 1
        back = _follow(trigram).transpose(1, 2).contiguous()
        ahead = torch.empty_like(states)
        ahead[frames] = trigram[:, :, edge].T[:, None, None, :] / last[None, :, None, None]
        for t in range(frames - 1, -1, -1):
            then, here = ahead[t + 1], ahead[t]
            if t % _RESCALED_FRAMES == 0:
                then = then / scale[t + 1][None, :, None, None]
            onward = then[:, :, 0] * likely[t, :, :, None]
            through = torch.bmm(onward.transpose(0, 2).contiguous(), back).view(size, batch, 2, size)
            through[:, :, 0].add_(onward)
            torch.add(through, (then[:, :, 1] * likely[t, edge, None, :, None])[:, :, None], out=here)
        both = states[1:] * ahead[1:]
        occupied = both[:, :, :, 0].sum(dim=3)
        occupied[:, edge] = both[:, :, :, 1].sum(dim=(1, 3))
        return (occupied * upstream).permute(2, 0, 1), None


def _follow(trigram: Tensor) -> Tensor:
    """(last phone, 2 x phone before, next phone): held phones do not follow themselves, after a blank they may."""
    follow = trigram.transpose(0, 1).clone()
    follow[..., -1] = 0.0  # the edge is no phone
    held = follow.clone()
    held.diagonal(dim1=0, dim2=2).zero_()
    return torch.cat((held, follow), dim=1)
