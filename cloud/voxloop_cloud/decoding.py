"""Which decoder a bundle wants: greedy for characters and word pieces, through a graph for phones."""

from collections.abc import Callable
from typing import Protocol

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.decoder import CtcDecoder, Decoded, Hypothesis, LogProbs


class Decoder(Protocol):
    """From one stream's log-probabilities to text; the outcome does not depend on how the frames were cut."""

    @property
    def frames(self) -> int:
        """Frames taken so far."""
        ...

    def push(self, log_probs: LogProbs) -> None:
        """Takes the next frames, (T, V) float32, T of any size."""
        ...

    def hypothesis(self) -> Hypothesis:
        """The text so far."""
        ...

    def result(self) -> Decoded:
        """Text, words and confidence of all frames so far."""
        ...


def open_decoding(bundle: Bundle) -> Callable[[], Decoder]:
    """What starts a decoder for each segment. For phones it takes seconds, and the graph is shared by all.

    Raises ContractError if the bundle's graph is missing or not for its model.
    """
    config = bundle.config
    if config.tokens != "phones":
        return lambda: CtcDecoder(bundle.tokens, bundle.blank_id, config.frame_ms)
    from voxloop_cloud.graph_decoder import GraphDecoder, load_decoding_graph  # noqa: PLC0415 (only for phones)

    graph = load_decoding_graph(bundle)
    return lambda: GraphDecoder(graph, config.decoder, config.frame_ms)
