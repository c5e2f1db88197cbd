"""Clips that any bundle must get right, and what a bundle makes of them."""

import time
from collections.abc import Sequence
from typing import Final

from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.rollout.checks import MustNotFail, WrongClip
from voxloop_cloud.rollout.labelled_clips import LabelledClip
from voxloop_proto.errors import ModelError
from voxloop_proto.scoring import normalize

MODEL_FAILED: Final = "(the model failed)"


class ClipHearing:
    """Hears clips a few at a time, as it is done on a core that devices need, too. Each clip's text must be the
    label's, both normalized."""

    def __init__(self, clips: Sequence[LabelledClip], recognizer: Recognizer) -> None:
        self._clips = clips
        self._recognizer = recognizer
        self._heard = 0
        self._wrong: list[WrongClip] = []

    def go_on(self, most_s: float) -> None:
        """Hears on for so long, one clip at least if any is left. Raises DataError for a clip that is no sound."""
        until_s = time.perf_counter() + most_s
        while self._heard < len(self._clips):
            clip = self._clips[self._heard]
            wanted, heard = normalize(clip.text), _hear(clip, self._recognizer)
            self._heard += 1
            if heard != wanted:
                self._wrong.append(WrongClip(clip.id, wanted, heard))
            if time.perf_counter() >= until_s:
                return

    @property
    def result(self) -> MustNotFail | None:
        """What was found once all are heard; None before, and if there are no clips."""
        is_done = self._clips and self._heard == len(self._clips)
        return MustNotFail(len(self._clips), tuple(self._wrong)) if is_done else None


def _hear(clip: LabelledClip, recognizer: Recognizer) -> str:
    sound = clip.read()
    try:
        return normalize(transcribe(recognizer, sound).text)
    except ModelError:
        return MODEL_FAILED
