"""One bundle as the recognition thread has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from voxloop_cloud.recognizer import State


class Steps(Protocol):
    """What the thread needs of a recognizer."""

    def step(
        self, states: Sequence[State], windows: npt.NDArray[np.float32], *, used_up: bool = False
    ) -> tuple[npt.NDArray[np.float32], list[State]]:
        """The next windows of B streams, recognised; used_up: nobody needs the given states any more."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """What recognises a bundle's windows, and how many of them at once. A batch is of one lane."""

    recognizer: Steps
    max_batch: int
