"""Hotwords in free speech, for one stream: spotted as frames come, put among the words when text is asked for."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from voxloop_cloud.decoder import LogProbs
from voxloop_cloud.graph_config import DecoderConfig
from voxloop_cloud.graph_path import BestPath, Heard
from voxloop_cloud.hotword_spotter import HotwordSpotter, HotwordTrie
from voxloop_cloud.hotword_swap import HotwordSwapper, Passage

_CHOICE_WEIGHT: Final = 1.5
"""Of log N in the cost of each of N hotwords. Above 1, as more of them also sound like something else."""


class HotwordSearch:
    """Sees the frames that the graph's search sees, and no others."""

    def __init__(self, trie: HotwordTrie, config: DecoderConfig, blank_id: int) -> None:
        self._spotter = HotwordSpotter(trie, blank_id)
        cost = config.hotword_cost + _CHOICE_WEIGHT * math.log(trie.phrases)
        self._swapper = HotwordSwapper(trie, blank_id, config.acoustic_scale, cost)

    def push(self, log_probs: LogProbs) -> None:
        """Takes the next frames, (T, V) float32."""
        self._spotter.push(log_probs)

    def swap(self, heard: Sequence[Heard], path: BestPath, log_probs: Sequence[LogProbs], floor: int) -> list[Heard]:
        """The path's last words, from frame `floor` on, with hotwords among them. log_probs: (V,) for each frame.

        The floor never goes back.
        """
        spotted = self._spotter.spotted(floor)
        if not len(spotted.reading) or floor >= len(log_probs):
            return list(heard)
        return self._swapper.swap(Passage(heard, floor, path.costs()[floor:], np.stack(log_probs[floor:])), spotted)
