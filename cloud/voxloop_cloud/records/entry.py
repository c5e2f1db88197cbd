"""What is to be written of one utterance."""

from typing import NamedTuple

from voxloop_cloud.records.redo_watch import Redo
from voxloop_cloud.records.utterance import UtteranceRecord


class Entry(NamedTuple):
    """A record, and what its utterance says of the one before it."""

    record: UtteranceRecord
    redo: Redo | None
