"""A cache-aware streaming Conformer-CTC: one code path for training, whole files and single chunks."""

from voxloop_training.model.conformer import ConformerConfig, ConformerCtc
from voxloop_training.model.stream_state import StreamState

__all__ = ["ConformerConfig", "ConformerCtc", "StreamState"]
