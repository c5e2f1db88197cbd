"""Clips that any bundle must get right, and what a bundle makes of them."""

from collections.abc import Callable, Sequence

from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.rollout.checks import MustNotFail, WrongClip
from voxloop_cloud.rollout.labelled_clips import LabelledClip
from voxloop_proto.scoring import normalize


def hear_must_not_fail(
    clips: Sequence[LabelledClip], recognizer: Recognizer, advance: Callable[[], object] = lambda: None
) -> MustNotFail:
    """Each clip's text must be the label's, both normalized; advance is called after each.

    Raises DataError for a clip that is no sound.
    """
    wrong = []
    for clip in clips:
        wanted, heard = normalize(clip.text), normalize(transcribe(recognizer, clip.read()).text)
        if heard != wanted:
            wrong.append(WrongClip(clip.id, wanted, heard))
        advance()
    return MustNotFail(len(clips), tuple(wrong))
