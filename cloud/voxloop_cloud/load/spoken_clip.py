"""Sound cut into the messages of a segment, ready to be sent."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, from_pcm16, ms_to_samples, to_pcm16
from voxloop_proto.v1 import voxloop_pb2 as pb

MESSAGE_MS = 200
"""Sound in one message, as a device sends it."""

_SPEECH_FILE = Path(__file__).parent / "speech.npz"


@dataclass(frozen=True, slots=True)
class SpokenClip:
    """A clip as payloads of PCM16, and when each has been spoken, in seconds from the clip's start."""

    payloads: tuple[bytes, ...]
    due_s: tuple[float, ...]
    samples: int

    def messages(self, segment_id: int) -> list[tuple[float, bytes]]:
        """When, and what: the messages of a whole segment, serialized. Its end goes with its last sound."""
        start = pb.SegmentStart(segment_id=segment_id)
        end = pb.SegmentEnd(
            segment_id=segment_id,
            end_sample=self.samples,
            last_voiced_sample=self.samples,
            sent_samples=self.samples,
            reason=pb.END_REASON_SILENCE,
        )
        sound = (
            pb.RecognizeRequest(audio=pb.Audio(segment_id=segment_id, sequence=number, payload=payload))
            for number, payload in enumerate(self.payloads)
        )
        made = (pb.RecognizeRequest(segment_start=start), *sound, pb.RecognizeRequest(segment_end=end))
        when = (0.0, *self.due_s, self.due_s[-1])
        return [(due_s, message.SerializeToString()) for due_s, message in zip(when, made, strict=True)]


def cut_clip(pcm: Pcm, message_ms: int = MESSAGE_MS) -> SpokenClip:
    """The clip, (S,) float32 at 16 kHz, in messages of so many ms; the last one may be shorter."""
    step = ms_to_samples(message_ms)
    starts = range(0, len(pcm), step)
    payloads = tuple(to_pcm16(pcm[at : at + step]) for at in starts)
    return SpokenClip(payloads, tuple(min(at + step, len(pcm)) / SAMPLE_RATE_HZ for at in starts), len(pcm))


def own_speech() -> list[Pcm]:
    """Three spoken queries that come with voxloop (synthetic voices, see tests/data/queries), (S,) float32 each."""
    held = np.load(_SPEECH_FILE, allow_pickle=False)
    return [from_pcm16(held[name].tobytes()) for name in held.files]
