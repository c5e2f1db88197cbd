"""Remembers each session's last utterance, to tell whether the next one repeats it."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from voxloop_cloud.records.clip_key import device_digest
from voxloop_cloud.records.heard import Heard
from voxloop_cloud.records.redo import Said, outline_of, redo_probability
from voxloop_cloud.records.utterance import UtteranceRecord
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.v1 import voxloop_pb2 as pb

MOST_SESSIONS: Final = 4_096
"""Beyond it the one that was silent for longest is forgotten; each takes about 4 kB."""

KEPT_S: Final = 900.0
"""What was said is forgotten then, though nobody spoke since: as long as a session's transcripts (results.keep_ms)."""


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
    """Compares utterances of a session that follow each other; one that failed, or is missing, parts them.

    `follow` is for one thread, `forget` for any.
    """

    def __init__(self, max_sessions: int = MOST_SESSIONS) -> None:
        self._max_sessions = max_sessions
        self._last: OrderedDict[str, tuple[UtteranceRecord, Said]] = OrderedDict()
        self._lock = threading.Lock()

    def follow(self, heard: Heard, record: UtteranceRecord) -> Redo | None:
        """Takes the next utterance; what it says of the one before it, if there is one."""
        said = _said(heard, heard.answer) if isinstance(heard.answer, pb.Transcript) else None
        before = self._exchange(record, said)
        if before is None or said is None:
            return None
        if before[0].segment_id + 1 != record.segment_id or before[0].end_reason == "max_length":
            return None
        return Redo(before[0], redo_probability(before[1], said))

    def forget(self, device: str) -> None:
        """What a device said last, which was erased. device: its digest."""
        with self._lock:
            for session_id, (record, _) in list(self._last.items()):
                if device_digest(record.device_id) == device:
                    del self._last[session_id]

    def _exchange(self, record: UtteranceRecord, said: Said | None) -> tuple[UtteranceRecord, Said] | None:
        """The session's last utterance, whose place this one takes."""
        with self._lock:
            before = self._last.pop(record.session_id, None)
            if said is not None:
                self._last[record.session_id] = (record, said)
            while self._last and self._has_to_go(next(iter(self._last.values()))[0], record.arrived_s):
                self._last.popitem(last=False)
        return before

    def _has_to_go(self, oldest: UtteranceRecord, now_s: float) -> bool:
        return len(self._last) > self._max_sessions or oldest.arrived_s < now_s - KEPT_S


def _said(heard: Heard, transcript: pb.Transcript) -> Said:
    start_sample = heard.start.start_sample
    return Said(
        text=transcript.text,
        start_s=start_sample / SAMPLE_RATE_HZ,
        end_s=(start_sample + heard.received_samples) / SAMPLE_RATE_HZ,
        outline=outline_of(heard.features.sketch) if heard.features else None,
    )
