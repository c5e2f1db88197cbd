"""Takes one segment's messages, checks that nothing is missing or too much, and gives out its sound."""

import math
from collections.abc import Callable

import numpy as np

from voxloop_cloud.limits import Limits
from voxloop_cloud.message_limits import check_lengths
from voxloop_proto.audio import SILENCE_DBFS, Pcm, from_pcm16, ms_to_samples
from voxloop_proto.contract import MAX_PAYLOAD_BYTES, OPUS_PACKET_SAMPLES
from voxloop_proto.errors import ContractError
from voxloop_proto.opus import OpusDecoder
from voxloop_proto.v1 import voxloop_pb2 as pb

MAX_SEGMENT_ID = (1 << 63) - 1
MAX_START_SAMPLE = 1 << 60
"""Two million years at 16 kHz; word times beyond it would not fit their field."""


def _decode_pcm16(payload: bytes) -> Pcm:
    if len(payload) % 2:
        raise ContractError(f"PCM16 payload of {len(payload)} bytes; it must be even, two bytes a sample")
    return from_pcm16(payload)


class SegmentIntake:
    """One segment on its way in."""

    def __init__(
        self, start: pb.SegmentStart, audio_format: pb.AudioFormat, limits: Limits, keeps_sound: bool = False
    ) -> None:
        """keeps_sound: hold on to all that comes, in `sound`."""
        if not 0 < start.segment_id <= MAX_SEGMENT_ID:
            raise ContractError(f"segment_id {start.segment_id}; allowed are 1 to {MAX_SEGMENT_ID}")
        if not 0 <= start.start_sample <= MAX_START_SAMPLE:
            raise ContractError(f"start_sample {start.start_sample}; allowed are 0 to {MAX_START_SAMPLE}")
        self.start = start
        self.received_samples = 0
        self.sound: list[Pcm] = []
        self._keeps_sound = keeps_sound
        self._energy = 0.0
        self._opus = audio_format.codec == pb.CODEC_OPUS
        self._decode: Callable[[bytes], Pcm] = OpusDecoder().decode if self._opus else _decode_pcm16
        self._next_sequence = 0
        self._max_samples = ms_to_samples(limits.max_segment_ms)

    @property
    def level_dbfs(self) -> float:
        """RMS level of the sound so far; SILENCE_DBFS for silence or none."""
        if self._energy == 0.0:
            return SILENCE_DBFS
        return max(SILENCE_DBFS, 10.0 * math.log10(self._energy / self.received_samples))

    def take(self, audio: pb.Audio) -> Pcm:
        """The sound of one Audio message. Raises ContractError when it is out of order, too large or garbage."""
        if audio.segment_id != self.start.segment_id:
            raise ContractError(f"audio of segment {audio.segment_id} within segment {self.start.segment_id}")
        if audio.sequence != self._next_sequence:
            raise ContractError(f"audio number {audio.sequence}; the next one is {self._next_sequence}")
        if len(audio.payload) > MAX_PAYLOAD_BYTES:
            raise ContractError(f"payload of {len(audio.payload)} bytes; allowed are {MAX_PAYLOAD_BYTES}")
        self._next_sequence += 1
        pcm = self._decode(audio.payload)
        self.received_samples += pcm.size
        self._energy += float(np.dot(pcm, pcm))
        if self.received_samples > self._max_samples + OPUS_PACKET_SAMPLES * 2:
            raise ContractError(f"segment longer than {self._max_samples} samples; end it and start the next one")
        if self._keeps_sound:
            self.sound.append(pcm)
        return pcm

    def check_end(self, end: pb.SegmentEnd) -> None:
        """Raises ContractError unless all that the device sent has come."""
        check_lengths(end)
        if end.segment_id != self.start.segment_id:
            raise ContractError(f"end of segment {end.segment_id} within segment {self.start.segment_id}")
        surplus = self.received_samples - end.sent_samples
        allowed = 2 * OPUS_PACKET_SAMPLES if self._opus else 0  # Opus fills its last packet up
        if not 0 <= surplus <= allowed:
            raise ContractError(f"{self.received_samples} samples arrived of {end.sent_samples} sent")
