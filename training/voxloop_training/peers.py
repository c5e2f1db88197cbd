"""The processes that train one model together."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


class Peers:
    """One process among equals, as torchrun started them; a lone process is its own only peer.

    Gradients travel as one flat sum over gloo, once a step, together with whatever else the peers must agree on.
    """

    def __init__(self, rank: int, count: int) -> None:
        self.rank = rank
        self.count = count

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def sum(self, row: Tensor) -> Tensor:
        """Add up a tensor over all peers, in place."""
        if self.count > 1:
            dist.all_reduce(row)
        return row

    def gather(self, item: T) -> list[T]:
        """Everybody's item, for everybody."""
        if self.count == 1:
            return [item]
        items: list[T | None] = [None] * self.count
        dist.all_gather_object(items, item)
        return [item for item in items if item is not None]

    def wait(self) -> None:
        """Until all peers are here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def join_peers(threads: int) -> Iterator[Peers]:
    """Join the group that torchrun describes in the environment."""
    torch.set_num_threads(threads)
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Peers(0, 1)
        return
    dist.init_process_group("gloo")
    try:
        yield Peers(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
