"""The streaming Conformer-CTC recogniser."""

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from voxloop_training.model.block import BlockFrames, ConformerBlock
from voxloop_training.model.mask import chunk_mask, ring_mask
from voxloop_training.model.rotary import rotation_of
from voxloop_training.model.stream_state import StreamState, newest, ring_with
from voxloop_training.model.subsampling import OVERLAP_FRAMES, SUBSAMPLING_FRAMES, Subsampling


class ConformerConfig(BaseModel):
    """Size and reach of the model. One encoder frame is 40 ms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mel_bins: int = Field(80, ge=16, le=128, multiple_of=4, description="feature bins per 10 ms frame, 16 to 128")
    tokens: int = Field(29, ge=2, description="outputs per CTC frame, blank included")
    width: int = Field(256, ge=16, multiple_of=8, description="channels of an encoder frame")
    heads: int = Field(4, ge=1, description="attention heads; the width must be a multiple of twice this")
    inner_width: int = Field(512, ge=16, description="channels inside the feed-forward parts")
    blocks: int = Field(6, ge=1, description="Conformer blocks")
    kernel_frames: int = Field(15, ge=3, description="reach of the depthwise convolution, encoder frames, all past")
    subsampling_channels: int = Field(48, ge=8, description="planes of the subsampling convolutions")
    left_frames: int = Field(64, ge=8, description="encoder frames before the chunk that attention sees")
    outputs_per_frame: int = Field(2, ge=1, le=4, description="CTC frames per encoder frame; 2 lets fast speech fit")
    middle_block: int = Field(3, ge=0, description="block after which the training-only CTC listens in; 0 for none")
    phones: int = Field(0, ge=0, description="outputs of a second head that writes phones, blank included; 0 for none")
    dropout_ratio: float = Field(0.0, ge=0.0, le=0.5, description="share of added activations dropped, 0 to 0.5")


class Readings(NamedTuple):
    """Log-probabilities (B, 2T', V) float32 of whole files.

    characters: of the last block · phones: of the last block, or None · middle: phones, or without them characters, of
    the middle block
    """

    characters: Tensor
    middle: Tensor
    phones: Tensor | None


class ConformerCtc(nn.Module):
    """Raw log-mel frames in, log-probabilities of characters (and of phones, with a second head) out.

    Global feature normalisation is part of the model, so that whoever serves it feeds plain features.
    writes_phones: which of the two `step` answers with.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.subsampling = Subsampling(config.mel_bins, config.subsampling_channels, width)
        self.blocks = nn.ModuleList(
            ConformerBlock(width, config.heads, config.inner_width, config.kernel_frames, config.dropout_ratio)
            for _ in range(config.blocks)
        )
        self.head = nn.Linear(width, config.outputs_per_frame * config.tokens)
        self.phone_head = nn.Linear(width, config.outputs_per_frame * config.phones) if config.phones else None
        self.writes_phones = False
        self.register_buffer("mean", torch.zeros(config.mel_bins))
        self.register_buffer("deviation", torch.ones(config.mel_bins))

    @property
    def served_head(self) -> nn.Linear:
        """The head that `step` answers with."""
        return self.phone_head if self.writes_phones and self.phone_head is not None else self.head

    @property
    def outputs(self) -> int:
        """Classes of the served head, blank included."""
        return self.served_head.out_features // self.config.outputs_per_frame

    def served(self, readings: Readings) -> Tensor:
        """Of whole files, the log-probabilities of the served head."""
        return readings.phones if self.writes_phones and readings.phones is not None else readings.characters

    def start(self, streams: int) -> StreamState:
        """Caches of fresh streams."""
        return self._caches(streams, self.config.left_frames, torch.float32)

    def step(self, features: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """One window (B, 4n + 3, mel_bins) of each stream -> log-probabilities (B, 2n, V) and the next state."""
        frames = (features.shape[1] - OVERLAP_FRAMES) // SUBSAMPLING_FRAMES
        mask = ring_mask(state.heard_frames, self.config.left_frames, frames)
        x, _, fresh = self._encode(features, state, mask)
        channel = torch.cat([tensor for block in fresh for tensor in (block.keys, block.values)], dim=1)
        time = torch.cat([block.gated for block in fresh], dim=1)
        ring = ring_with(state.channel, channel, state.heard_frames)
        after = StreamState(ring, newest(state.time, time), state.heard_frames + frames)
        return self._classify(x, self.served_head), after

    def forward(self, features: Tensor, chunk_frames: int) -> Readings:
        """Whole files, (B, T, mel_bins) float32, with the mask that chunks of `chunk_frames` frames would have seen."""
        frames = (features.shape[1] - OVERLAP_FRAMES) // SUBSAMPLING_FRAMES
        mask = chunk_mask(frames, chunk_frames, self.config.left_frames)
        nothing = self._caches(features.shape[0], 0, self.head.weight.dtype)
        x, middle, _ = self._encode(features, nothing, mask)
        phones = None if self.phone_head is None else self._classify(x, self.phone_head)
        return Readings(self._classify(x, self.head), self._classify(middle, self.phone_head or self.head), phones)

    def _caches(self, streams: int, left_frames: int, dtype: torch.dtype) -> StreamState:
        """All zeros, for attention that sees `left_frames` before the chunk."""
        c = self.config
        return StreamState(
            torch.zeros(streams, c.blocks * 2 * c.heads, left_frames, c.width // c.heads, dtype=dtype),
            torch.zeros(streams, c.blocks, c.kernel_frames - 1, c.width, dtype=dtype),
            torch.zeros(streams, dtype=torch.int64),
        )

    def _encode(self, features: Tensor, state: StreamState, mask: Tensor) -> tuple[Tensor, Tensor, list[BlockFrames]]:
        """Frames of the last and of the middle block, each (B, 1, n, D), and what each block is to remember of them."""
        c, dtype = self.config, self.head.weight.dtype
        x = self.subsampling(((features - self.mean) / self.deviation).to(dtype)).unsqueeze(1)
        positions = state.heard_frames.unsqueeze(1) + torch.arange(x.shape[2])
        rotation, mask, middle = rotation_of(positions.float(), c.width // c.heads).to(dtype), mask.to(dtype), x
        channels, times = state.channel.chunk(2 * c.blocks, dim=1), state.time.chunk(c.blocks, dim=1)
        fresh = []
        for index, block in enumerate(self.blocks):
            past = BlockFrames(channels[2 * index], channels[2 * index + 1], times[index])
            x, of_block = block(x, past, mask, rotation)
            fresh.append(of_block)
            if index + 1 == c.middle_block:
                middle = x
        return x, middle, fresh

    def _classify(self, x: Tensor, head: nn.Linear) -> Tensor:
        """(B, 1, T, D) -> log-probabilities (B, T * outputs_per_frame, V) float32."""
        scores: Tensor = head(x).float()
        outputs = head.out_features // self.config.outputs_per_frame
        return functional.log_softmax(scores.reshape(x.shape[0], -1, outputs), dim=-1)
