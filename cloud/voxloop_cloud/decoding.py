"""Which decoder a bundle wants: greedy for characters and word pieces, through a graph for phones."""

from typing import TYPE_CHECKING, Protocol

from voxloop_cloud.bundle import Bundle
from voxloop_cloud.decoder import CtcDecoder, Decoded, Hypothesis, LogProbs
from voxloop_cloud.hotword_list import HotwordList
from voxloop_proto.errors import ContractError

if TYPE_CHECKING:  # at run time only bundles of phones load what searches
    from voxloop_cloud.graph_decoder import DecodingGraph
    from voxloop_cloud.hotwords import Hotwords, HotwordStore


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


class Decoding(Protocol):
    """How a bundle's streams are decoded; what they share."""

    @property
    def takes_hotwords(self) -> bool:
        """Whether hotwords have an effect."""
        ...

    def prepare(self, hotwords: HotwordList) -> "Hotwords | None":
        """Makes a session's list ready; None if it has no effect. Any number of threads may call it at once.

        Raises ContractError if one cannot be said, or if only hotwords may be said and there is no way to see to it.
        """
        ...

    def start(self, hotwords: "Hotwords | None" = None) -> Decoder:
        """A decoder for a new stream."""
        ...


class GreedyDecoding:
    """For characters and word pieces: best paths, with no say of hotwords."""

    takes_hotwords = False

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def prepare(self, hotwords: HotwordList) -> None:
        """No effect, which is an error if they are all that may be said."""
        if hotwords.only:
            raise ContractError(
                f"{self._bundle.label} writes {self._bundle.config.tokens}, whose text cannot be limited to hotwords; "
                "leave hotwords_only out, or serve a bundle of phones"
            )

    def start(self, hotwords: "Hotwords | None" = None) -> Decoder:  # noqa: ARG002 (there are none)
        """A decoder for a new stream."""
        return CtcDecoder(self._bundle.tokens, self._bundle.blank_id, self._bundle.config.frame_ms)


class GraphDecoding:
    """For phones: through the bundle's graph with hotwords put in, or through the graph of a list."""

    takes_hotwords = True

    def __init__(self, bundle: Bundle, graph: "DecodingGraph", store: "HotwordStore") -> None:
        self._config = bundle.config
        self._graph = graph
        self._store = store

    def prepare(self, hotwords: HotwordList) -> "Hotwords":
        """Makes a session's list ready; raises ContractError if one cannot be said."""
        return self._store.prepare(hotwords)

    def start(self, hotwords: "Hotwords | None" = None) -> Decoder:
        """A decoder for a new stream."""
        from voxloop_cloud.graph_decoder import DecodingGraph, GraphDecoder  # noqa: PLC0415 (only for phones)

        decoder, frame_ms = self._config.decoder, self._config.frame_ms
        ready = hotwords.ready if hotwords else None
        if isinstance(ready, DecodingGraph):
            return GraphDecoder(ready, decoder.for_phrases(), frame_ms)
        return GraphDecoder(self._graph, decoder, frame_ms, ready)


def open_decoding(bundle: Bundle) -> Decoding:
    """A bundle's decoding. For phones it takes seconds, and the graph is shared by all.

    Raises ContractError if the bundle's graph is missing or not for its model.
    """
    if bundle.config.tokens != "phones":
        return GreedyDecoding(bundle)
    from voxloop_cloud.graph_decoder import load_decoding_graph  # noqa: PLC0415 (only for phones)
    from voxloop_cloud.hotwords import HotwordStore  # noqa: PLC0415
    from voxloop_cloud.pronouncer import open_pronouncer  # noqa: PLC0415

    graph = load_decoding_graph(bundle)
    pronouncer = open_pronouncer(bundle, graph.lexicon)
    return GraphDecoding(bundle, graph, HotwordStore(pronouncer, bundle.config.decoder, bundle.blank_id))
