"""The likeliest CTC path of given phones over given frames."""

from collections.abc import Sequence

import numpy as np

from voxloop_cloud.decoder import LogProbs
from voxloop_cloud.graph_alignment import Run, runs_of


def force(log_probs: LogProbs, phones: Sequence[int], blank_id: int) -> tuple[float, list[Run]]:
    """The path's log-probability and a run for each phone; -inf and none if the frames are too few.

    log_probs: (T, V) float32. The runs' frames count from the first of them.
    """
    labels = np.full(2 * len(phones) + 1, blank_id)
    labels[1::2] = phones
    may_skip = np.zeros(len(labels), bool)
    may_skip[3::2] = labels[3::2] != labels[1:-2:2]
    score = np.full(len(labels), -np.inf)
    score[0] = 0.0  # before the first frame: as in a blank
    came_from = np.zeros((len(log_probs), len(labels)), np.intp)
    places = np.arange(len(labels))
    for frame, said in enumerate(log_probs):
        step = np.concatenate(([-np.inf], score[:-1]))
        skip = np.where(may_skip, np.concatenate(([-np.inf, -np.inf], score[:-2])), -np.inf)
        options = np.stack((score, step, skip))
        moved = options.argmax(axis=0)
        came_from[frame] = places - moved
        score = options.max(axis=0) + said[labels]
    last = len(labels) - 1
    if len(phones) and score[last - 1] > score[last]:
        last -= 1
    if not np.isfinite(score[last]):
        return -np.inf, []
    path = np.empty(len(log_probs), np.intp)
    place = last
    for frame in range(len(log_probs) - 1, -1, -1):
        path[frame] = place
        place = came_from[frame, place]
    return float(score[last]), runs_of(labels[path].tolist(), blank_id)
