"""Remembers each session's last utterance, to tell whether the next one repeats it."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from voxloop_cloud.records.heard import Heard
from voxloop_cloud.records.redo import Said, outline_of, redo_probability
from voxloop_cloud.records.utterance import UtteranceRecord
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.v1 import voxloop_pb2 as pb

MOST_SESSIONS: Final = 4_096
"""Beyond it the one that was silent for longest is forgotten; each takes about 4 kB."""


@dataclass(frozen=True, slots=True)
class Redo:
    """How likely an utterance was said again in the next one. record: its record, as it was made."""

    record: UtteranceRecord
    probability: float

    @property
    def session_id(self) -> str:
        """Of both utterances."""
        return self.record.session_id

    @property
    def segment_id(self) -> int:
        """Of the first one."""
        return self.record.segment_id


class RedoWatch:
    """Compares utterances of a session that follow each other; one that failed, or is missing, parts them."""

    def __init__(self, max_sessions: int = MOST_SESSIONS) -> None:
        self._max_sessions = max_sessions
        self._last: OrderedDict[str, tuple[UtteranceRecord, Said]] = OrderedDict()

    def follow(self, heard: Heard, record: UtteranceRecord) -> Redo | None:
        """Takes the next utterance; what it says of the one before it, if there is one."""
        before = self._last.pop(record.session_id, None)
        if not isinstance(heard.answer, pb.Transcript):
            return None
        said = _said(heard, heard.answer)
        self._last[record.session_id] = (record, said)
        if len(self._last) > self._max_sessions:
            self._last.popitem(last=False)
        if before is None or before[0].segment_id + 1 != record.segment_id or before[0].end_reason == "max_length":
            return None
        return Redo(before[0], redo_probability(before[1], said))


def _said(heard: Heard, transcript: pb.Transcript) -> Said:
    start_sample = heard.start.start_sample
    return Said(
        text=transcript.text,
        start_s=start_sample / SAMPLE_RATE_HZ,
        end_s=(start_sample + heard.received_samples) / SAMPLE_RATE_HZ,
        outline=outline_of(heard.features.sketch) if heard.features else None,
    )
