"""Utterances as they come, cut into looks of one size."""

from voxloop_cloud.drift.utterances import Utterances, joined


class Looks:
    """Holds less than one look."""

    def __init__(self, look_utterances: int) -> None:
        self._size = look_utterances
        self._waiting: list[Utterances] = []

    def push(self, utterances: Utterances) -> list[Utterances]:
        """Takes the next utterances, any number; gives the looks that are full."""
        self._waiting.append(utterances)
        if sum(map(len, self._waiting)) < self._size:
            return []
        waiting = joined(self._waiting)
        whole = len(waiting) // self._size * self._size
        self._waiting = [waiting.take(slice(whole, None))]
        return [waiting.take(slice(at, at + self._size)) for at in range(0, whole, self._size)]
