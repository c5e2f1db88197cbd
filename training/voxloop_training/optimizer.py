"""Full-precision master weights behind a bf16 model."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from voxloop_training.muon import Muon
from voxloop_training.peers import Peers


class OptimizerConfig(BaseModel):
    """Muon for the matrices of the blocks, AdamW for the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(3e-3, gt=0, le=0.1, description="peak learning rate of both optimisers")
    weight_decay: float = Field(
        0.05, ge=0, le=1, description="decoupled weight decay, times the learning rate per step"
    )
    momentum_ratio: float = Field(0.95, ge=0, lt=1, description="Muon's momentum")
    clip_norm: float = Field(2.0, gt=0, description="largest gradient norm, per token; larger gradients are scaled")
    precision: Literal["bf16", "fp32"] = Field("bf16", description="precision of the model's weights while training")


class MasterOptimizer:
    """Owns float32 copies of a model's weights; after each step the model gets them rounded to its own precision."""

    def __init__(self, model: nn.Module, config: OptimizerConfig, peers: Peers) -> None:
        self._config = config
        self._weights = list(model.parameters())
        self._masters = [weight.detach().float().clone() for weight in self._weights]
        names = [name for name, _ in model.named_parameters()]
        matrix = [name.startswith("blocks.") and weight.ndim == 2 for name, weight in model.named_parameters()]
        self._matrices = [index for index, _ in enumerate(names) if matrix[index]]
        self._others = [index for index, _ in enumerate(names) if not matrix[index]]
        inner = [self._masters[i] for i in self._matrices]
        self._muon = Muon(inner, config.momentum_ratio, config.weight_decay, peers)
        others = [self._masters[i] for i in self._others]
        self._adamw = torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        if config.precision == "bf16":
            for weight in self._weights:
                weight.data = weight.data.bfloat16()

    @property
    def size(self) -> int:
        """How many weights there are."""
        return sum(master.numel() for master in self._masters)

    def take_gradient(self) -> Tensor:
        """All gradients in one (size) row of the model's precision; the model's are dropped."""
        rows = [
            torch.zeros_like(weight).flatten() if weight.grad is None else weight.grad.flatten()
            for weight in self._weights
        ]
        for weight in self._weights:
            weight.grad = None
        return torch.cat(rows)

    def step(self, gradient: Tensor, learning_rate: float) -> float:
        """Update masters and model from a (size) float32 gradient; returns its norm before clipping."""
        norm = float(gradient.norm())
        gradient = gradient * min(1.0, self._config.clip_norm / (norm + 1e-12))
        pieces = torch.split(gradient, [master.numel() for master in self._masters])
        shaped = [piece.view_as(master) for piece, master in zip(pieces, self._masters, strict=True)]
        self._muon.step([shaped[i] for i in self._matrices], learning_rate)
        for index in self._others:
            self._masters[index].grad = shaped[index]
        self._adamw.param_groups[0]["lr"] = learning_rate
        self._adamw.step()
        self._publish()
        return norm

    def masters(self) -> list[Tensor]:
        """The float32 weights, in the order of the model's parameters."""
        return self._masters

    def state(self) -> dict[str, Any]:
        return {"masters": self._masters, "muon": self._muon.state(), "adamw": self._adamw.state_dict()}

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        for master, saved in zip(self._masters, state["masters"], strict=True):
            master.copy_(saved)
        self._muon.load(state["muon"])
        self._adamw.load_state_dict(state["adamw"])
        self._publish()

    @torch.no_grad()
    def adopt(self, names: Sequence[str], weights: Mapping[str, Tensor]) -> list[str]:
        """Take weights by name where the shapes agree too; returns the names of those left as they were."""
        left = []
        for name, master in zip(names, self._masters, strict=True):
            if name in weights and weights[name].shape == master.shape:
                master.copy_(weights[name])
            else:
                left.append(name)
        self._publish()
        return left

    @torch.no_grad()
    def _publish(self) -> None:
        for weight, master in zip(self._weights, self._masters, strict=True):
            weight.copy_(master)
