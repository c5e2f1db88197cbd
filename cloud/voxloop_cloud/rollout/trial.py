"""A bundle that is being tried: since when, against which, and how far it has come. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SAME_SHARE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Trial:
    """bundle, against: NAME@VERSION. share: of the devices that it answers, 0 while it listens in alone.

    since_s: Unix seconds of the policy that named it; live_since_s: that let it answer, None while none did;
    share_since_s: that gave it this share. policy_version: the present one.
    """

    bundle: str
    against: str
    share: float
    since_s: float
    live_since_s: float | None
    share_since_s: float
    policy_version: int

    def next_share(self, steps: Sequence[float]) -> float:
        """The share that a promotion gives it; 1: it becomes the present bundle."""
        return next((step for step in steps if step > self.share + _SAME_SHARE), 1.0)
