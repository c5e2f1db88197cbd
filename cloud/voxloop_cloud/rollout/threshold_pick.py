"""Picks the threshold of partial automation: hears labelled clips, and weighs errors against reviews."""

from collections.abc import Callable, Sequence

from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.rollout.cost_curve import Judged
from voxloop_cloud.rollout.labelled_clips import LabelledClip
from voxloop_proto.scoring import normalize


def judge_clips(
    clips: Sequence[LabelledClip], recognizer: Recognizer, advance: Callable[[], object] = lambda: None
) -> list[Judged]:
    """How sure the bundle is of each clip, and whether it is right. Raises DataError for a clip that is no sound."""
    judged = []
    for clip in clips:
        heard = transcribe(recognizer, clip.read())
        judged.append(Judged(heard.confidence, normalize(heard.text) == normalize(clip.text)))
        advance()
    return judged
