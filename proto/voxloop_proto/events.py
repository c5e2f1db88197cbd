"""What flows between the stages of the edge: one frozen class per event, every field always valid."""

from dataclasses import dataclass
from enum import Enum

from voxloop_proto.audio import Pcm


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Audio as it arrived, already 16 kHz mono.

    pcm: (N,) float32 in [-1, 1], N of any size.
    """

    start_sample: int
    pcm: Pcm


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Audio of one fixed length (10, 20 or 30 ms); the last one of a stream is padded with zeros.

    real_samples: how many of pcm are the source's own (all, save in the last frame).
    """

    start_sample: int
    pcm: Pcm
    real_samples: int


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFrame:
    """A frame and what the VAD says of it."""

    frame: Frame
    voiced: bool


class EndReason(Enum):
    """Why a segment ended; the names of the wire's EndReason."""

    SILENCE = "silence"
    MAX_LENGTH = "max_length"
    END_OF_STREAM = "end_of_stream"


@dataclass(frozen=True, slots=True)
class SegmentStarted:
    """Speech begins.

    start_sample: the segment's first sample, pre-roll included.
    pre_roll_samples: samples before the first voiced frame.
    raw_level_dbfs: level as recorded over the pre-roll; the background's level.
    gain_db: gain that the normalizer applies at the first sample (0 before the normalizer).
    """

    segment_id: int
    start_sample: int
    pre_roll_samples: int
    raw_level_dbfs: float
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SegmentAudio:
    """Sound of a segment, in order and without gaps.

    pcm: (N,) float32 in [-1, 1].
    gain_db: gain already applied at the last sample of pcm (0 before the normalizer).
    """

    segment_id: int
    start_sample: int
    pcm: Pcm
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True)
class SegmentMeasures:
    """What the device measured on one segment, as recorded (before the normalizer)."""

    raw_level_dbfs: float
    clipped_ratio: float
    voiced_ratio: float
    snr_db: float


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """Speech is over.

    end_sample: one past the segment's last sample.
    last_voiced_sample: one past the last sample judged as speech.
    held_samples: sound after the end that had to be heard before it was known: a long segment is split in hindsight.
    """

    segment_id: int
    end_sample: int
    last_voiced_sample: int
    reason: EndReason
    measures: SegmentMeasures
    held_samples: int = 0


@dataclass(frozen=True, slots=True)
class SegmentPayload:
    """Encoded sound of a segment, ready for the wire. samples: how many samples it decodes to."""

    segment_id: int
    payload: bytes
    samples: int
    gain_db: float


SegmentEvent = SegmentStarted | SegmentAudio | SegmentEnded
EncodedEvent = SegmentStarted | SegmentPayload | SegmentEnded
